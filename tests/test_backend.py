"""Threads, forks, the GIL, the instruction set and what show_config() says of them."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import polyad
from polyad import _backend
from polyad.ops import hypernet


def problem(rng, samples=3000, variables=60, edges=700):
    """A batch, hyperedges with literals of both kinds, weights and labels."""
    x = rng.random((samples, variables)) < 0.5
    lists = [
        rng.choice(variables, size=rng.integers(1, 6), replace=False).tolist() for _ in range(edges)
    ]
    values = [rng.integers(0, 2, len(edge)).tolist() for edge in lists]
    return (
        x,
        polyad.Hyperedges.from_lists(lists, values=values),
        rng.integers(-50, 50, edges),
        rng.integers(0, 5, edges).astype(np.int32),
    )


def run(code, environment=None, timeout=120):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(environment or {})},
    )


# --- threads ----------------------------------------------------------------------------------


def test_threads_are_set_and_read_back():
    polyad.set_num_threads(3)
    assert polyad.get_num_threads() == 3
    assert polyad.config()["threads"] == 3


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "n: expected at least 1 thread, got 0"),
        (-2, ValueError, "n: expected at least 1 thread, got -2"),
        (2.0, TypeError, "n: expected an int, got float"),
        ("2", TypeError, "n: expected an int, got str"),
        (True, TypeError, "n: expected an int, got bool"),
        (None, TypeError, "n: expected an int, got NoneType"),
    ],
)
def test_a_wrong_number_of_threads_is_refused(n, error, message):
    before = polyad.get_num_threads()
    with pytest.raises(error, match=re.escape(message)):
        polyad.set_num_threads(n)
    assert polyad.get_num_threads() == before


def test_results_do_not_depend_on_the_number_of_threads(rng):
    x, edges, weights, labels = problem(rng)
    results = []
    for threads in (1, 2, 5):
        polyad.set_num_threads(threads)
        results.append(
            (
                hypernet.match(x, edges),
                hypernet.votes(x, edges, weights, labels, 5, tolerance=1),
                hypernet.votes(x, edges, weights / 7.0, labels, 5),
                hypernet.match_counts(x, edges),
            )
        )
    for other in results[1:]:
        for want, got in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(got, want)


def test_two_python_threads_compute_at_once(rng):
    x, edges, weights, labels = problem(rng)
    want = hypernet.votes(x, edges, weights, labels, 5)
    polyad.set_num_threads(2)
    wrong, barrier = [], threading.Barrier(4)

    def work():
        barrier.wait()
        for _ in range(10):
            if not np.array_equal(hypernet.votes(x, edges, weights, labels, 5), want):
                wrong.append(threading.get_ident())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []


def test_kernels_release_the_gil(rng):
    """During one long call another Python thread goes on."""
    x, edges, weights, labels = problem(rng, samples=60_000, edges=20_000)
    planes, plan = polyad.BitPlanes.pack(x), edges.plan(labels=labels, num_classes=5)
    polyad.set_num_threads(1)
    ticks, done = [], threading.Event()

    def tick():
        while not done.wait(0.001):
            ticks.append(time.monotonic())

    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        begin = time.monotonic()
        hypernet.votes(planes, plan, weights, tolerance=3)
        end = time.monotonic()
    finally:
        done.set()
        ticker.join()
    inside = sum(begin < t < end for t in ticks)
    assert inside >= 5, f"{inside} ticks in {end - begin:.3f} s"


# --- fork -------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes_with_one_thread(rng):
    """OpenMP's threads are not there after a fork: without the hook the child waits for ever."""
    x, edges, weights, labels = problem(rng)
    polyad.set_num_threads(2)
    want = hypernet.votes(x, edges, weights, labels, 5)  # starts OpenMP's threads
    child = os.fork()
    if child == 0:
        code = 1
        try:
            got = hypernet.votes(x, edges, weights, labels, 5)
            same = np.array_equal(got, want)
            code = 0 if same and polyad.get_num_threads() == 1 else 2
        finally:
            os._exit(code)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            assert os.waitstatus_to_exitcode(status) == 0
            break
        time.sleep(0.01)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the child hangs")
    assert polyad.get_num_threads() == 2


# --- instruction set --------------------------------------------------------------------------

_DIGEST = """
import hashlib
import numpy as np
import polyad
from polyad.ops import hypernet

rng = np.random.default_rng(7)
digest = hashlib.sha256()
for samples in (1, 63, 64, 65, 500, 1030):
    x = rng.random((samples, 77)) < 0.5
    lists = [rng.choice(77, size=k % 12, replace=False).tolist() for k in range(300)]
    values = [rng.integers(0, 2, len(edge)).tolist() for edge in lists]
    edges = polyad.Hyperedges.from_lists(lists, values=values)
    weights = rng.integers(-1000, 1000, 300)
    labels = rng.integers(0, 3, 300).astype(np.int32)
    for tolerance in (0, 1, 4):
        digest.update(hypernet.match(x, edges, tolerance=tolerance).tobytes())
        votes = hypernet.votes(x, edges, weights, labels, 3, tolerance=tolerance)
        digest.update(votes.tobytes())
        digest.update(hypernet.match_counts(x, edges, tolerance=tolerance).tobytes())
print(polyad.config()["isa"], digest.hexdigest())
"""


def test_every_instruction_set_gives_the_same_bits():
    digests = {}
    for level in polyad.config()["isa_available"]:
        result = run(_DIGEST, {"POLYAD_ISA": level})
        assert result.returncode == 0, result.stderr
        used, digests[level] = result.stdout.split()
        assert used == level
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("level", ["v9", "V2", "avx2", " v2"])
def test_an_unknown_instruction_set_is_refused_at_import(level):
    result = run("import polyad", {"POLYAD_ISA": level})
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    known = ", ".join(polyad.config()["isa_available"])
    assert last.startswith(f"RuntimeError: POLYAD_ISA: expected one of {known}")
    assert last.endswith(f"got '{level}'")


def test_an_empty_override_means_the_best():
    result = run("import polyad\nprint(polyad.config()['isa'])", {"POLYAD_ISA": ""})
    assert result.stdout.strip() == polyad.config()["isa_available"][-1]


# --- what is there ----------------------------------------------------------------------------


def test_config_names_what_is_there():
    config = polyad.config()
    assert config["polyad"] == polyad.__version__
    assert config["numpy"] == np.__version__
    assert config["isa"] in config["isa_available"]
    if sys.platform == "linux":
        assert any("libgomp" in path for path in config["openmp"])
    if not config["cuda_architectures"]:
        assert config["cuda_missing"]


def test_show_config_prints_every_entry(capsys):
    polyad.show_config()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == list(polyad.config())


def test_a_build_without_cuda_says_so():
    if polyad.config()["cuda_architectures"]:
        pytest.skip("built with _cuda")
    with pytest.raises(RuntimeError, match="polyad cannot use CUDA tensors: this build has no"):
        _backend.cuda()


def test_a_missing_openmp_runtime_is_named():
    """The loader's message becomes one that says what to install."""
    code = (
        "import sys, types\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'polyad._cpu':\n"
        "            raise ImportError('libgomp.so.1: cannot open shared object file')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "import polyad\n"
    )
    result = run(code)
    assert result.returncode != 0
    assert "ImportError: polyad needs the OpenMP runtime libgomp.so.1" in result.stderr
    assert "apt-get install libgomp1" in result.stderr
