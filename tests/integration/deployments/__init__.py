"""What ops people deploy: from prefect.yaml, on a schedule, in containers, as a whole stack."""
