"""Writes order.h: where the rows of two sets of streams begin, drawn by a Philox of this script's own.

    python3 tests/reference/order.py > tests/reference/order.h

Philox4x32-10 is that of Salmon et al. 2011, table 2 and its figure; known_answers are from the kat_vectors file of their
Random123. What is drawn with it is the definition in libcommon/data/order.c and libcommon/base/rng.h in words: key is the
seed; counter is (row or half, its upper half or the epoch, stream, 2), 2 for data; each span of all sets has 16 streams.
"""

M0, M1, W0, W1, LOW = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85, 0xFFFFFFFF
DATA, STREAMS, ROUNDS = 2, 16, 6


def philox(counter, key):
    c, k = list(counter), list(key)
    for _ in range(10):
        p0, p1 = M0 * c[0], M1 * c[2]
        c = [p1 >> 32 ^ c[1] ^ k[0], p1 & LOW, p0 >> 32 ^ c[3] ^ k[1], p0 & LOW]
        k = [(k[0] + W0) & LOW, (k[1] + W1) & LOW]
    return c


known_answers = [
    ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([LOW] * 4, [LOW] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ([0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]
for counter, key, answer in known_answers:
    assert philox(counter, key) == answer

SEED, T, ROWS = 5 | 7 << 32, 4, 80
KEY = [SEED & LOW, SEED >> 32]
SETS = [[26, 104], [43]] # tokens of the streams of each set


def below(stream, i, n):
    """[0, n): the upper half of n times 64 bits."""
    r = philox([i & LOW, i >> 32, stream, DATA], KEY)
    return (r[0] << 32 | r[1]) * n >> 64


def permute(x, n, stream, epoch):
    half = 1
    while 1 << 2 * half < n:
        half += 1
    mask = (1 << half) - 1
    while True:
        left, right = x >> half, x & mask
        for rank in range(1, ROUNDS + 1):
            left, right = right, (left ^ philox([right, epoch, stream + rank, DATA], KEY)[0]) & mask
        x = left << half | right
        if x < n:
            return x


def place(units, counts):
    """Which stream has the unit, and which of its own that is."""
    span = 0
    while units >= counts[span]:
        units -= counts[span]
        span += 1
    return span, units


def random_rows(streams, first):
    counts = [n - T for n in streams]
    return [place(below(first * STREAMS, row, sum(counts)), counts) for row in range(ROWS)]


def shuffle_rows(streams, first):
    counts, rows = [(n - 1) // T for n in streams], []
    for row in range(ROWS):
        epoch, i = divmod(row, sum(counts))
        span, window = place(permute(i, sum(counts), first * STREAMS, epoch), counts)
        spare = streams[span] - 1 - counts[span] * T
        rows.append((span, below((first + span) * STREAMS + ROUNDS + 1, epoch, spare + 1) + window * T))
    return rows


print("/* order.h: written by order.py: of each row of two sets the stream in its set, and the token that it starts with. */\n")
print(f"enum {{ order_T = {T}, order_rows = {ROWS} }};")
print(f"static const uint64_t order_seed = {SEED}u;\n")
for name, rows in (("random", random_rows), ("shuffle", shuffle_rows)):
    print(f"static const int order_{name}[2][order_rows][2] = {{")
    first = 0
    for streams in SETS:
        text = ", ".join("{%d, %d}" % row for row in rows(streams, first))
        print("    {" + text + "},")
        first += len(streams)
    print("};")
