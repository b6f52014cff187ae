"""`python -m prefect_governor.flows.cli`: the command line where its script is not on the path."""

from prefect_governor.flows.cli.main import main

if __name__ == "__main__":
    main(prog_name="prefect-governor")
