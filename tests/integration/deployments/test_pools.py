"""The same deployments on every kind of work pool; what a container is given is whole, and its
secrets stand in no deployment."""

from collections.abc import Callable
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.utilities.importtools import import_object
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration
from pydantic import SecretStr

from tests.integration.deployments.conftest import DEPLOYMENTS, prefect_file

KINDS = ("docker", "kubernetes", "process")
LEDGER = "postgresql://ledger:s3cret-of-the-ledger@db.internal/ledger"
# What Kubernetes knows of manifests, in a version that many run.
KUBERNETES = "1.31.0"

pytestmark = pytest.mark.usefixtures("server")


def written(kind: str) -> dict[str, Any]:
    """The deployments as their file has them, by name."""
    data = yaml.safe_load(prefect_file(kind).read_text())
    return {each["name"]: each for each in data["deployments"]}


async def configuration(model: Any, client: SyncPrefectClient, kind: str, name: str) -> Any:
    """What a worker makes a container or pod of, for a deployment."""
    made = client.read_deployment_by_name(f"{name}/{name}")
    assert made.work_pool_name is not None
    pool = client.read_work_pool(made.work_pool_name)
    assert pool.type == kind
    async with get_client() as asked:
        found = await model.from_template_and_values(
            pool.base_job_template, made.job_variables or {}, client=asked
        )
        run = await asked.create_flow_run_from_deployment(made.id)
        flow = await asked.read_flow(run.flow_id)
        found.prepare_for_flow_run(run, deployment=made, flow=flow, work_pool=pool, worker_name="w")
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_the_deployments_are_the_same_wherever_they_run(kind: str) -> None:
    here, there = written(kind), written("process")
    assert list(here) == ["fan-out", "research", "digest", "reconcile"]
    for name, each in here.items():
        assert {**each, "work_pool": None} == {**there[name], "work_pool": None}
        flow = import_object(each["entrypoint"])
        assert flow.name == name
        assert {*each["parameters"]} <= {*flow.parameters.properties}
        assert not any(schedule["active"] for schedule in each.get("schedules", []))
    # Prefect reads what these name as it deploys, and would store it in the deployment.
    assert "prefect.blocks" not in prefect_file(kind).read_text()


async def test_a_container_has_the_ledger_from_a_secret_that_no_deployment_holds(
    deploy: Callable[[str], str], client: SyncPrefectClient
) -> None:
    await Secret(value=SecretStr(LEDGER)).save("governor-ledger", overwrite=True)
    deploy("docker")
    found = await configuration(DockerWorkerJobConfiguration, client, "docker", "digest")
    assert found.env["PREFECT_GOVERNOR_LEDGER_URL"] == LEDGER
    assert found.image == "prefect-governor-worker" and found.auto_remove
    assert found.container_create_kwargs["cap_drop"] == ["ALL"]
    assert found.volumes == ["./docs:/data/docs:ro"]
    held = client.read_deployment_by_name("digest/digest").model_dump_json()
    held += client.read_work_pool("governed-docker").model_dump_json()
    assert "s3cret" not in held


async def test_a_pod_is_one_that_kubernetes_takes_without_root_and_with_its_secret(
    deploy: Callable[[str], str], client: SyncPrefectClient
) -> None:
    deploy("kubernetes")
    found = await configuration(KubernetesWorkerJobConfiguration, client, "kubernetes", "digest")
    manifest = found.job_manifest
    # The control: fields that are nowhere in the schema are refused.
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**manifest, "sepc": {}}, KUBERNETES, strict=True)
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    pod = manifest["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "prefect-governor"}}]
    assert "LEDGER" not in str(container["env"])
    assert pod["securityContext"]["runAsNonRoot"] and pod["terminationGracePeriodSeconds"] == 60
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["resources"]["limits"] == {"memory": "2Gi"}
    mounted = {each["name"] for each in container["volumeMounts"]}
    assert mounted == {each["name"] for each in pod["volumes"]} == {"home", "tmp", "data"}


@pytest.mark.parametrize("path", sorted((DEPLOYMENTS / "kubernetes").glob("*.yaml")), ids=str)
def test_manifests_are_what_kubernetes_takes(path: Any) -> None:
    if path.name != "prefect.yaml":
        for each in yaml.safe_load_all(path.read_text()):
            kubernetes_validate.validate(each, KUBERNETES, strict=True)
