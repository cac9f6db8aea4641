"""Cluster files against what reads them: Ray's own validator, and KubeRay's published schemas."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CLUSTERS = ROOT / "examples" / "clusters"
SCHEMA = Path(__file__).parent / "data" / "kuberay-rayjob.json"


def documents(name: str) -> dict[str, Any]:
    return {found["kind"]: found for found in YAML(typ="safe").load_all(CLUSTERS / name)}


@pytest.fixture(scope="module")
def job_schema() -> dict[str, Any]:
    """RayJob; unknown keys are refused, as `kubectl` does, which the schema leaves to the server."""

    def strict(node: Any) -> Any:
        if isinstance(node, dict):
            node = {key: strict(value) for key, value in node.items()}
            if isinstance(node.get("properties"), dict) and node.get("type") == "object":
                node.setdefault("additionalProperties", False)
        return [strict(one) for one in node] if isinstance(node, list) else node

    schema: dict[str, Any] = strict(json.loads(SCHEMA.read_text()))
    return schema


@pytest.fixture(scope="module")
def cluster_schema(job_schema: dict[str, Any]) -> dict[str, Any]:
    """RayCluster, whose spec is the `rayClusterSpec` of a job."""
    spec = job_schema["properties"]["spec"]["properties"]["rayClusterSpec"]
    return {**job_schema, "properties": {**job_schema["properties"], "spec": spec}}


def test_kuberay_takes_the_cluster_and_the_job(cluster_schema: dict[str, Any], job_schema: dict[str, Any]) -> None:
    cluster, job = documents("kuberay-cluster.yaml")["RayCluster"], documents("kuberay-job.yaml")["RayJob"]
    jsonschema.validate(cluster, cluster_schema)
    jsonschema.validate(job, job_schema)
    for spec in (cluster["spec"], job["spec"]["rayClusterSpec"]):
        assert spec["headGroupSpec"]["rayStartParams"] == {"num-cpus": "0"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "rayVersion"), 2.6),
        (("spec", "bogus"), 1),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "workerGroupSpecs", 0, "maxReplicas"), "20"),
        (("spec", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "img"), "x"),
        (("spec", "autoscalerOptions", "version"), "v3"),
    ],
)
def test_the_schema_refuses(path: tuple[Any, ...], value: object, cluster_schema: dict[str, Any]) -> None:
    broken = documents("kuberay-cluster.yaml")["RayCluster"]
    target = broken
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, cluster_schema)


def test_claims_and_grids_of_the_manifests_fit_together() -> None:
    cluster, job = documents("kuberay-cluster.yaml"), documents("kuberay-job.yaml")["RayJob"]
    claim = cluster["PersistentVolumeClaim"]["metadata"]["name"]
    for spec in (cluster["RayCluster"]["spec"], job["spec"]["rayClusterSpec"]):
        pod = spec["headGroupSpec"]["template"]["spec"]
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes["results"]["persistentVolumeClaim"]["claimName"] == claim
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == set(volumes)
    assert job["spec"]["entrypoint"].startswith("sweep launch /grids/grid.yaml --address auto --store /results/")


@pytest.mark.slow
@pytest.mark.parametrize("file", [ROOT / "cluster.yaml", CLUSTERS / "gcp.yaml"], ids=["aws", "gcp"])
@pytest.mark.usefixtures("ray_settings")
def test_rays_own_validator_accepts_the_cluster_files(file: Path) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = YAML(typ="safe").load(file)
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    head = prepared["available_node_types"][prepared["head_node_type"]]
    assert head["resources"]["CPU"] == 0
    broken = copy.deepcopy(config)
    broken["available_node_types"]["head"]["bogus"] = 1
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config(broken))


def test_both_clouds_are_set_up_alike() -> None:
    aws, gcp = (YAML(typ="safe").load(file) for file in (ROOT / "cluster.yaml", CLUSTERS / "gcp.yaml"))
    for key in ("setup_commands", "file_mounts", "head_start_ray_commands", "worker_start_ray_commands"):
        assert gcp[key] == aws[key]
