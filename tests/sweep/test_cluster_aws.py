"""cluster.yaml through Ray's own AWS node provider, against moto's EC2 and IAM on loopback (slow).

Whatever speaks to anything but loopback is refused by an audit hook of the interpreter. SSH is no part of it, nor is
what `resolve:ssm:` image names lead to, which moto does not look up: that they are of that form is all that is checked.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.needs import lack

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

BOOTSTRAP = """
import ipaddress, json, os, sys

def loopback_only(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            print(f"not loopback: {host}", file=sys.stderr, flush=True)
            os._exit(9)
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", None):
        print(f"not loopback: {arguments[0]}", file=sys.stderr, flush=True)
        os._exit(9)

sys.addaudithook(loopback_only)
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
os.environ["AWS_ENDPOINT_URL"] = f"http://{host}:{port}"

import boto3, botocore
from ruamel.yaml import YAML
from ray.autoscaler._private.commands import _bootstrap_config
from ray.autoscaler._private.providers import _get_node_provider
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE, TAG_RAY_NODE_NAME

config = YAML(typ="safe").load(open(sys.argv[1]))
full = _bootstrap_config(config, no_config_cache=True)
provider = _get_node_provider(full["provider"], full["cluster_name"])
found = {"types": {}}
for name, kind in full["available_node_types"].items():
    is_head = name == full["head_node_type"]
    node = {**kind["node_config"], **(full["head_node"] if is_head else {})}
    tags = {TAG_RAY_NODE_KIND: "head" if is_head else "worker", TAG_RAY_USER_NODE_TYPE: name, TAG_RAY_NODE_NAME: name}
    provider.create_node(node, tags, 1)
    (made,) = provider.non_terminated_nodes({TAG_RAY_USER_NODE_TYPE: name})
    (instance,) = boto3.client("ec2", config["provider"]["region"]).describe_instances(InstanceIds=[made])[
        "Reservations"][0]["Instances"]
    found["types"][name] = {
        "resources": kind["resources"], "type": instance["InstanceType"], "image": instance["ImageId"],
        "lifecycle": instance.get("InstanceLifecycle", "on demand"), "running": provider.is_running(made),
        "profile": instance.get("IamInstanceProfile", {}).get("Arn"),
        "groups": [group["GroupId"] for group in instance["SecurityGroups"]], "key": instance["KeyName"],
        "architecture": boto3.client("ec2", config["provider"]["region"]).describe_instance_types(
            InstanceTypes=[instance["InstanceType"]])["InstanceTypes"][0]["ProcessorInfo"]["SupportedArchitectures"],
    }
ec2 = boto3.client("ec2", config["provider"]["region"])
(group,) = ec2.describe_security_groups(GroupIds=found["types"]["head"]["groups"])["SecurityGroups"]
found["ingress"] = [
    [rule["IpProtocol"], rule.get("FromPort"), [one["CidrIp"] for one in rule["IpRanges"]],
     [pair["GroupId"] for pair in rule["UserIdGroupPairs"]]] for rule in group["IpPermissions"]]
iam = boto3.client("iam", config["provider"]["region"])
(profile,) = iam.list_instance_profiles()["InstanceProfiles"]
found["policies"] = [policy["PolicyName"] for policy in iam.list_attached_role_policies(
    RoleName=profile["Roles"][0]["RoleName"])["AttachedPolicies"]]
try:
    ec2.run_instances(ImageId="ami-1e749f67", InstanceType="c7i.nothing", MinCount=1, MaxCount=1)
except botocore.exceptions.ClientError as error:
    found["refused"] = error.response["Error"]["Code"]
provider.terminate_nodes(provider.non_terminated_nodes({}))
states = [one["State"]["Name"] for reservation in ec2.describe_instances()["Reservations"]
          for one in reservation["Instances"]]
found["left"], found["states"] = len(provider.non_terminated_nodes({})), sorted(set(states))
print(json.dumps(found))
server.stop()
"""


def test_what_cluster_yaml_asks_for_is_what_the_api_takes(tmp_path: Path) -> None:
    if importlib.util.find_spec("moto") is None:
        lack("moto", "it is in the group clouds: uv run --group clouds pytest")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment |= {
        "HOME": str(tmp_path),  # the key pair is written to ~/.ssh
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # until the server is up nothing answers
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
        "RAY_USAGE_STATS_ENABLED": "0",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", BOOTSTRAP, str(ROOT / "cluster.yaml")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    head, cpu, gpu = (found["types"][name] for name in ("head", "cpu_worker", "gpu_worker"))
    assert [kind["lifecycle"] for kind in (head, cpu, gpu)] == ["on demand", "spot", "spot"]
    assert all(kind["running"] for kind in (head, cpu, gpu))
    assert head["resources"]["CPU"] == 0
    assert (cpu["type"], cpu["resources"]["CPU"]) == ("c7i.8xlarge", 32)
    assert gpu["resources"]["GPU"] == 1
    for kind in (head, cpu, gpu):
        assert "x86_64" in kind["architecture"]
        assert kind["image"].startswith("resolve:ssm:/aws/service/")
        assert (tmp_path / ".ssh" / f"{kind['key']}.pem").exists()
        assert kind["groups"] == head["groups"]
    assert head["profile"]
    assert not cpu["profile"]
    assert "AmazonEC2FullAccess" in found["policies"]
    (own,) = head["groups"]
    assert sorted(found["ingress"]) == [["-1", None, [], [own]], ["tcp", 22, ["0.0.0.0/0"], []]]
    assert found["refused"] == "InvalidInstanceType.NotFound"
    assert (found["left"], found["states"]) == (0, ["terminated"])
