"""The five tasks: what a sequence holds, that it is a function of its arguments, and its cost."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from polyad.data.ntm_tasks import HELD_OUT, TASKS, NGrams, task  # noqa: E402

FORMATS = {  # inputs, outputs, longest sequence, bits of the longest
    "copy": (9, 8, 41, 160),
    "repeat-copy": (8, 7, 112, 707),
    "associative-recall": (8, 6, 32, 18),
    "n-grams": (1, 1, 204, 200),
    "priority-sort": (10, 8, 37, 128),
}


def sequences(batch):
    """(inputs, targets, mask) of each sequence, as integers where they are bits, without its end."""
    for inputs, targets, mask, length in zip(*(t.numpy() for t in batch), strict=True):
        assert not inputs[length:].any()
        assert not targets[length:].any()
        assert not mask[length:].any()
        assert not targets[~mask].any()
        yield inputs[:length], targets[:length].astype(int), mask[:length]


@pytest.mark.parametrize("name", TASKS)
def test_shapes_dtypes_and_ranges(name):
    t = task(name)
    inputs, outputs, longest, bits = FORMATS[name]
    assert (t.name, t.input_size, t.output_size) == (name, inputs, outputs)
    batch = t.batch(3, 5, 200)
    steps = batch.inputs.shape[1]
    assert steps == batch.lengths.max() == longest
    assert batch.inputs.shape == (200, steps, inputs)
    assert batch.targets.shape == (200, steps, outputs)
    assert batch.mask.shape == (200, steps)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert batch.mask.dtype == torch.bool
    assert batch.lengths.dtype == torch.int64
    assert set(batch.targets.unique().tolist()) == {0, 1}
    assert (batch.mask.sum(1) * outputs).max() == bits
    assert len(list(sequences(batch))) == 200


@pytest.mark.parametrize("name", TASKS)
def test_a_batch_is_a_function_of_its_arguments(name):
    t = task(name)
    first = t.batch(1, 2, 7)
    t.batch(9, 9, 3)
    again = task(name, **t.settings()).batch(1, 2, 7)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    for other in (t.batch(1, 3, 7), t.batch(2, 2, 7), t.held_out(7, seed=1), t.held_out(7)):
        assert first.inputs.shape != other.inputs.shape or not torch.equal(
            first.inputs, other.inputs
        )
    held = t.batch(HELD_OUT, 0, 4)
    assert torch.equal(held.inputs, t.held_out(4).inputs)


def test_copy():
    lengths = set()
    for inputs, targets, mask in sequences(task("copy").batch(0, 0, 400)):
        n = len(inputs) // 2
        lengths.add(n)
        assert np.array_equal(inputs[:, 8], np.eye(2 * n + 1)[n])
        assert not inputs[n:, :8].any()
        assert np.array_equal(mask, np.arange(2 * n + 1) > n)
        assert np.array_equal(targets[n + 1 :], inputs[:n, :8])
    assert lengths == set(range(1, 21))


def test_repeat_copy():
    seen, numbers = set(), []
    for inputs, targets, mask in sequences(task("repeat-copy").batch(0, 0, 2000)):
        n = int(inputs[:, 6].argmax())
        assert inputs[:, 6].sum() == 1
        times = round(inputs[n, 7] * np.sqrt(8.25) + 5.5)
        numbers.append(inputs[n, 7])
        seen.add((n, times))
        assert np.count_nonzero(inputs[:, 7]) == 1
        assert len(inputs) == n + 1 + n * times + 1
        assert np.array_equal(mask, np.arange(len(inputs)) > n)
        assert np.array_equal(targets[n + 1 : -1, :6], np.tile(inputs[:n, :6], (times, 1)))
        assert np.array_equal(targets[:, 6], np.arange(len(inputs)) == len(inputs) - 1)
        assert not targets[-1, :6].any()
    assert seen == {(n, r) for n in range(1, 11) for r in range(1, 11)}
    assert abs(np.mean(numbers)) < 0.1
    assert abs(np.var(numbers) - 1) < 0.1


def test_associative_recall():
    counts, places = set(), set()
    for inputs, targets, mask in sequences(task("associative-recall").batch(0, 0, 400)):
        begins = np.flatnonzero(inputs[:, 6])
        query = np.flatnonzero(inputs[:, 7])
        n = len(begins)
        assert np.array_equal(begins, 4 * np.arange(n))
        assert query.tolist() == [4 * n, 4 * n + 4]
        assert not inputs[begins, :6].any()
        assert not inputs[query, :6].any()
        items = [inputs[b + 1 : b + 4, :6] for b in begins]
        asked = inputs[query[0] + 1 : query[1], :6]
        (place,) = [i for i in range(n - 1) if np.array_equal(items[i], asked)]
        counts.add(n)
        places.add((n, place))
        assert np.flatnonzero(mask).tolist() == [4 * n + 5, 4 * n + 6, 4 * n + 7]
        assert len(mask) == 4 * n + 8
        assert np.array_equal(targets[mask], items[place + 1])
        assert not inputs[mask].any()
    assert counts == {2, 3, 4, 5, 6}
    assert places == {(n, k) for n in counts for k in range(n - 1)}


def test_n_grams_follow_their_context():
    chances = []
    for inputs, targets, mask in sequences(task("n-grams", predicted=3000).batch(0, 0, 30)):
        assert np.flatnonzero(mask).tolist() == list(range(4, 3004))
        bits = np.append(inputs[:, 0], targets[-1, 0]).astype(int)
        assert np.array_equal(targets[4:, 0], bits[5:])
        context = np.lib.stride_tricks.sliding_window_view(bits[:-1], 5) @ (16, 8, 4, 2, 1)
        halves = np.array_split(np.stack([context, bits[5:]], 1), 2)
        for c in range(32):
            ones = [half[half[:, 0] == c, 1] for half in halves]
            if min(map(len, ones)) >= 100:
                chances.append([o.mean() for o in ones])
    first, second = np.array(chances).T
    assert len(chances) > 40
    assert np.abs(first - second).max() < 0.3  # a context's chance stays
    assert np.abs(first - second).mean() < 0.06
    assert np.abs(first - 0.5).mean() > 0.2  # and is seldom fair


def test_the_optimal_estimator_by_hand():
    t = NGrams(predicted=12, context=2)
    batch = t.batch(5, 0, 4)
    for sequence, cost in zip(sequences(batch), t.optimal_bits(batch), strict=True):
        bits = [*sequence[0][:, 0].astype(int), int(sequence[1][-1, 0])]
        expected = 0.0
        for i in range(2, 14):
            before = [bits[j] for j in range(2, i) if bits[j - 2 : j] == bits[i - 2 : i]]
            ones = (sum(before) + 0.5) / (len(before) + 1)
            expected -= np.log2(ones if bits[i] else 1 - ones)
        assert cost == pytest.approx(expected)


def test_the_optimal_cost_is_that_of_the_notes():
    t = task("n-grams")
    cost = t.optimal_bits(t.batch(0, 0, 20_000))  # the mean's deviation is 0.26
    assert np.std(cost) / np.sqrt(len(cost)) < 0.3
    assert cost.mean() == pytest.approx(131.02, abs=0.9)


def test_priority_sort():
    for inputs, targets, mask in sequences(task("priority-sort").batch(0, 0, 50)):
        assert np.array_equal(inputs[:, 9], np.arange(37) == 20)
        assert np.array_equal(mask, np.arange(37) > 20)
        assert not inputs[20:, :9].any()
        priority = inputs[:20, 8]
        assert np.abs(priority).max() <= 1
        ranked = sorted(range(20), key=lambda i: -priority[i])[:16]
        assert np.array_equal(targets[21:], inputs[ranked, :8])


@pytest.mark.parametrize("name", TASKS)
def test_longer_tasks_fit_the_same_model(name):
    t = task(name)
    longer = t.longer()
    assert len({label for label, _ in longer}) == len(longer) >= 2
    steps = []
    for label, other in longer:
        assert (other.input_size, other.output_size) == (t.input_size, t.output_size), label
        steps.append(int(other.held_out(3).lengths.max()))
    assert max(steps) > t.batch(0, 0, 100).lengths.max()


def test_lengths_of_one_work():
    for name, least in {
        "copy": {"longest": 1},
        "repeat-copy": {"longest": 1, "most": 1},
        "associative-recall": {"most": 2, "item_length": 1, "bits": 1},
        "n-grams": {"predicted": 1, "context": 1},
        "priority-sort": {"vectors": 1, "wanted": 1},
    }.items():
        batch = task(name, **least).batch(0, 0, 1)
        assert int(batch.mask.sum()) >= 1
        assert int(batch.lengths) == batch.inputs.shape[1]


@pytest.mark.parametrize(
    ("name", "ranges", "message"),
    [
        ("copi", {}, r"task: expected one of copy, .*'copi'; did you mean copy\?"),
        ("copy", {"shortes": 1}, "shortes: the task copy has bits, shortest, longest"),
        ("copy", {"shortest": 3, "longest": 2}, "shortest: expected at most longest = 2, got 3"),
        ("copy", {"bits": 0}, "bits: expected an integer of at least 1, got 0"),
        ("copy", {"bits": 1.5}, "bits: expected an integer of at least 1, got 1.5"),
        ("repeat-copy", {"fewest": 11}, "fewest: expected at most most = 10, got 11"),
        ("associative-recall", {"fewest": 1}, "fewest: expected at least 2"),
        ("n-grams", {"context": 17}, "context: expected at most 16, got 17"),
        ("priority-sort", {"wanted": 21}, "wanted: expected at most vectors = 20, got 21"),
    ],
)
def test_bad_ranges_are_named(name, ranges, message):
    with pytest.raises(ValueError, match=message):
        task(name, **ranges)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 1), r"seed: expected 0 .. 2\*\*64 - 1, got -1"),
        ((0, 1 << 64, 1), "step: expected"),
        ((0, 0, 0), "batch_size: expected at least 1, got 0"),
    ],
)
def test_bad_arguments_of_batch_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        task("copy").batch(*arguments)
