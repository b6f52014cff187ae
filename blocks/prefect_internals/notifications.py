"""Notification blocks in Automations."""

from uuid import UUID

from prefect.events.actions import SendNotification


def notification_by(document_id: UUID, *, subject: str, body: str) -> SendNotification:
    """An Automation's action that has a saved notification block send something: templates."""
    return SendNotification(block_document_id=document_id, subject=subject, body=body)
