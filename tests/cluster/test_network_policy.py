"""Who reaches the ports of a run's pods: its own pods, and nobody else."""

import json

import pytest

from tests.cluster.small_pods import output_of, run_pod
from tests.cluster.training_runs import Team
from trainer.contract.pod import LINK_PORT, STATUS_PORT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]

_LISTEN = f"""
import socket
server = socket.create_server(("", {STATUS_PORT}))
while True:
    server.accept()[0].close()
"""
_UNTIL_LISTENING = f"""
import socket, time
end = time.monotonic() + 30
while time.monotonic() < end and socket.socket().connect_ex(("127.0.0.1", {STATUS_PORT})):
    pass
"""
_CONNECT = """
import json, socket
reached = []
for host, port in TARGETS:
    try:
        socket.create_connection((host, port), timeout=3).close()
        reached.append([host, port])
    except OSError:
        pass
print(json.dumps(reached))
"""


def connecting_to(targets: list[tuple[str, int]]) -> str:
    return _CONNECT.replace("TARGETS", repr(targets))


def test_a_stranger_reaches_no_port_and_the_own_pods_do(team: Team) -> None:
    # Long enough to be there until the end.
    run = team.submit("walled", "--set", "training.epochs=10000")
    run.trains(epoch=1)
    leader, worker = (run.pod(each)["status"]["podIP"] for each in (0, 1))
    ports = [(leader, LINK_PORT), (leader, STATUS_PORT), (worker, STATUS_PORT)]
    with run_pod(team, "open", _LISTEN):
        team.admin.run("wait", "--for=condition=Ready", "pod/open", "--timeout=60s")
        # Without a policy the stranger does get through: it is the policy that keeps it out.
        elsewhere = (team.admin.json("get", "pod", "open")["status"]["podIP"], STATUS_PORT)
        team.admin.run("exec", "open", "--", "python3.13", "-c", _UNTIL_LISTENING)
        with run_pod(team, "stranger", connecting_to([*ports, elsewhere])):
            assert json.loads(output_of(team.admin, "stranger")) == [list(elsewhere)]
    own = team.admin.run("exec", run.pod_name(1), "--", "python3.13", "-c", connecting_to(ports))
    assert json.loads(own) == [list(each) for each in ports]
