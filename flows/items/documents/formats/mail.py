"""Mail: EML and Outlook's MSG, and MHTML, which is mail that a browser wrote."""

import email
import email.policy
import io
from collections.abc import Iterator, Sequence
from email.message import EmailMessage

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted, named
from prefect_governor.flows.items.documents.formats.markup import markdown_of
from prefect_governor.flows.items.encodings import decoded

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
# Messages within messages, as they are forwarded.
_DEEPEST = 10


def eml(data: bytes) -> Extracted:
    """Its headers and its text, of the HTML part where there is no other; messages within it too;
    attachments by name. Raises ItemFailed for what is encrypted, and what is no mail."""
    message = _parsed(data)
    if not message.keys():
        raise ItemFailed("it has no headers: it is no message")
    attached: list[str] = []
    text = "\n\n".join(_told(message, attached, 0))
    return Extracted(text, _notes(attached))


def mhtml(data: bytes) -> Extracted:
    """The page that it holds, as Markdown. Raises ItemFailed where there is none."""
    message = _parsed(data)
    for kind in ("text/html", "application/xhtml+xml", "text/plain"):
        for part in message.walk():
            if part.get_content_type() == kind and isinstance(part, EmailMessage):
                text = _content(part)
                return Extracted(text if kind == "text/plain" else markdown_of(text))
    raise ItemFailed("it holds no page")


def msg(data: bytes) -> Extracted:
    """An Outlook message's headers and text; attachments by name."""
    from oxmsg import Message

    message = Message.load(io.BytesIO(data))
    people = ", ".join(
        f"{each.name} <{each.email_address}>" if each.name != each.email_address else each.name
        for each in message.recipients
    )
    sent = message.sent_date
    given = {
        "From": message.sender,
        "To": people,
        # Outlook's epoch stands for none.
        "Date": sent.isoformat(" ") if sent is not None and sent.year > 1601 else None,
        "Subject": message.subject,
    }
    head = [f"{name}: {_line(value)}" for name, value in given.items() if value]
    body = (message.body or "").strip() or markdown_of(message.html_body or "")
    attached = [f"{each.file_name} ({each.size:,} bytes)" for each in message.attachments]
    notes = list(_notes(attached))
    if not body:
        notes.append("it has no text but its headers (of Outlook's rich format none is read)")
    lines = [*head, *_attachment_lines(attached), "", body.replace("\r\n", "\n")]
    return Extracted("\n".join(lines).strip(), tuple(notes))


def _parsed(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data.lstrip(), policy=email.policy.default)


def _notes(attached: Sequence[str]) -> tuple[str, ...]:
    return (f"attachments are not read: {named(attached)}",) if attached else ()


def _attachment_lines(attached: Sequence[str]) -> list[str]:
    return [f"Attachment: {each}" for each in attached]


def _line(value: object) -> str:
    return " ".join(str(value).split())


def _told(message: EmailMessage, attached: list[str], depth: int) -> Iterator[str]:
    own: list[str] = []
    inner: list[EmailMessage] = []
    plain: list[str] = []
    marked: list[str] = []
    for part in _parts(message):
        kind = part.get_content_type()
        if kind in ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted"):
            raise ItemFailed("the message is encrypted; decrypt it first")
        name = part.get_filename()
        if kind == "message/rfc822":
            inner += [each for each in part.iter_parts() if isinstance(each, EmailMessage)]
        elif kind == "text/plain" and not _is_attached(part):
            plain.append(_content(part))
        elif kind == "text/html" and not _is_attached(part):
            marked.append(_content(part))
        elif not part.is_multipart() and kind != "application/pgp-signature":
            payload = part.get_payload(decode=True)
            size = len(payload) if isinstance(payload, bytes) else 0
            own.append(f"{_line(name or kind)} ({size:,} bytes)")
    attached += own
    head = [f"{name}: {_line(message[name])}" for name in _HEADERS if message[name]]
    body = "\n".join(plain).strip() or "\n\n".join(map(markdown_of, marked)).strip()
    yield "\n".join((*head, *_attachment_lines(own), "", body)).strip()
    for each in inner:
        if depth < _DEEPEST:
            yield "Message within it:"
            yield from _told(each, attached, depth + 1)
        else:
            attached.append("a message that is nested deeper")


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """What a message is made of, without what a message within it is made of."""
    yield message
    if message.get_content_type() == "message/rfc822" or not message.is_multipart():
        return
    for part in message.iter_parts():
        if isinstance(part, EmailMessage):
            yield from _parts(part)


def _is_attached(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment"


def _content(part: EmailMessage) -> str:
    """A text part, whatever it says of its encoding."""
    payload = part.get_payload(decode=True)
    raw = payload if isinstance(payload, bytes) else str(payload or "").encode()
    text = decoded(raw, declared=part.get_content_charset()).text if raw else ""
    return text.replace("\r\n", "\n")
