"""Compiled analysis of a sparse Cholesky factorisation: order, elimination tree, fronts."""

# Plain functions without annotations: what numba compiles, the run-time checks of the tests must not wrap.
# pyright: basic
import numpy as np
from numba import njit

# Pieces of the graph of at most so many nodes are not cut further.
LEAF = 10


@njit(cache=True, nogil=True)
def median(values, high):
    """The upper median of the first `high` values, which are reordered (Hoare's selection)."""
    wanted, low, last = high // 2, 0, high - 1
    while low < last:
        pivot, i, j = values[(low + last) // 2], low, last
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            last = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]


@njit(cache=True, nogil=True)
def dissect(start, column, points):
    """Nested dissection of a symmetric graph by cuts across the longest side: the nodes, separators last.

    A piece is cut at the median coordinate; of its two sides, the nodes of one that touch the other separate them.
    """
    n, dim = points.shape
    order, side = np.arange(n), np.full(n, -1, np.int64)
    scratch, values = np.empty(n, np.int64), np.empty(n)
    todo, count = np.empty((n + 2, 2), np.int64), 1
    todo[0, 0], todo[0, 1] = 0, n
    while count > 0:
        count -= 1
        low, high = todo[count]
        if high - low <= LEAF:
            continue
        axis, widest, lowest = 0, -1.0, 0.0
        for d in range(dim):
            least, most = np.inf, -np.inf
            for p in range(low, high):
                x = points[order[p], d]
                least, most = min(least, x), max(most, x)
            if most - least > widest * (1 + 1e-9):
                axis, widest, lowest = d, most - least, least
        if not widest > 0.0:
            continue
        for p in range(low, high):
            values[p - low] = points[order[p], axis]
        cut = median(values, high - low) - 1e-9 * widest
        if not lowest < cut:
            cut += 2e-9 * widest
        for p in range(low, high):
            side[order[p]] = 1 if points[order[p], axis] >= cut else 0
        touching = np.zeros(2, np.int64)
        for p in range(low, high):
            i = order[p]
            for q in range(start[i], start[i + 1]):
                other = side[column[q]]
                if other >= 0 and other % 2 != side[i] % 2:
                    side[i] += 2
                    touching[side[i] % 2] += 1
                    break
        taken = 2 if touching[0] < touching[1] else 3
        place, ends = low, np.zeros(3, np.int64)
        for kind in range(3):
            for p in range(low, high):
                s = side[order[p]]
                if (2 if s == taken else s % 2) == kind:
                    scratch[place] = order[p]
                    place += 1
            ends[kind] = place
        for p in range(low, high):
            order[p] = scratch[p]
            side[order[p]] = -1
        todo[count, 0], todo[count, 1] = low, ends[0]
        todo[count + 1, 0], todo[count + 1, 1] = ends[0], ends[1]
        count += 2
    return order


@njit(cache=True, nogil=True)
def upper_triangle(start, column, order):
    """The upper triangle of a reordered symmetric CSR matrix: starts of columns, rows, and places of the entries."""
    n = len(order)
    place, begin = np.empty(n, np.int64), np.zeros(n + 1, np.int64)
    for k in range(n):
        place[order[k]] = k
    for k in range(n):
        i = order[k]
        begin[k + 1] = begin[k]
        for p in range(start[i], start[i + 1]):
            if place[column[p]] <= k:
                begin[k + 1] += 1
    row, source = np.empty(begin[n], np.int64), np.empty(begin[n], np.int64)
    for k in range(n):
        i, q = order[k], begin[k]
        for p in range(start[i], start[i + 1]):
            if place[column[p]] <= k:
                row[q], source[q] = place[column[p]], p
                q += 1
    return begin, row, source


@njit(cache=True, nogil=True)
def grouped(front, count):
    """Where the entries of each front start when they are sorted by front, and their order then."""
    ends, order = np.zeros(count + 1, np.int64), np.empty(len(front), np.int64)
    for s in front:
        ends[s + 1] += 1
    for s in range(count):
        ends[s + 1] += ends[s]
    free = ends.copy()
    for p in range(len(front)):
        order[free[front[p]]] = p
        free[front[p]] += 1
    return ends, order


@njit(cache=True, nogil=True)
def tree(n, start, row):
    """The elimination tree of a matrix, from its upper triangle in columns, and the nodes, children before parents."""
    parent, ancestor = np.full(n, -1), np.full(n, -1)
    for k in range(n):
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while i != -1 and i < k:
                above = ancestor[i]
                ancestor[i] = k
                if above == -1:
                    parent[i] = k
                i = above
    first, following = np.full(n + 1, -1), np.full(n, -1)
    for i in range(n - 1, -1, -1):
        following[i] = first[parent[i]]
        first[parent[i]] = i
    post, stack, count, top = np.empty(n, np.int64), np.empty(n + 1, np.int64), 0, 0
    stack[0] = -1
    while top >= 0:
        i = stack[top]
        child = first[i]
        if child == -1:
            if i >= 0:
                post[count] = i
                count += 1
            top -= 1
        else:
            first[i] = following[child]
            top += 1
            stack[top] = child
    return parent, post


@njit(cache=True, nogil=True)
def columns(n, start, row):
    """Pattern of L below its diagonal, from the upper triangle in columns: parents, starts of columns, rows."""
    parent, seen, count = np.full(n, -1), np.full(n, -1), np.zeros(n, np.int64)
    for k in range(n):
        seen[k] = k
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while i < k and seen[i] != k:
                if parent[i] == -1:
                    parent[i] = k
                count[i] += 1
                seen[i] = k
                i = parent[i]
    begin = np.zeros(n + 1, np.int64)
    for i in range(n):
        begin[i + 1] = begin[i] + count[i]
    below, free = np.empty(begin[n], np.int64), begin[:-1].copy()
    seen[:] = -1
    for k in range(n):
        seen[k] = k
        for p in range(start[k], start[k + 1]):
            i = row[p]
            while i < k and seen[i] != k:
                below[free[i]] = k
                free[i] += 1
                seen[i] = k
                i = parent[i]
    return parent, begin, below


@njit(cache=True, nogil=True)
def fronts(parent, begin, small, waste):
    """Where groups of columns that are eliminated together start.

    Columns of the same pattern are one group; so are a child and its parent that follow one another where both are
    small or few zeros come in.
    """
    n = len(parent)
    first, zeros, entries = np.empty(n + 1, np.int64), np.zeros(n + 1), np.zeros(n + 1)
    count = 0
    for j in range(n):
        first[count] = j
        height = begin[j + 1] - begin[j] + 1
        zeros[count], entries[count] = 0.0, height
        count += 1
        while count > 1 and parent[first[count - 1] - 1] >= first[count - 1]:
            # the last column of the group before has its parent in this group, whose last column is j
            a, b = first[count - 2], first[count - 1]
            if parent[b - 1] > j:
                break
            width, before = j + 1 - b, b - a
            rows_before = begin[b] - begin[b - 1]
            added = before * float(width + height - 1 - rows_before)
            total = entries[count - 2] + entries[count - 1] + added
            lost = zeros[count - 2] + zeros[count - 1] + added
            if lost > 0 and lost > waste * total and width + before > small:
                break
            count -= 1
            entries[count - 1], zeros[count - 1] = total, lost
    first[count] = n
    return first[: count + 1].copy()


@njit(cache=True, nogil=True)
def layout(first, begin, below):
    """Rows below each front, its parent, its depth, and where these rows are in the parent's front."""
    fronts, n = len(first) - 1, first[-1]
    owner = np.empty(n, np.int64)
    start = np.zeros(fronts + 1, np.int64)
    for s in range(fronts):
        for j in range(first[s], first[s + 1]):
            owner[j] = s
        last = first[s + 1] - 1
        start[s + 1] = start[s] + begin[last + 1] - begin[last]
    rows, relative = np.empty(start[-1], np.int64), np.empty(start[-1], np.int64)
    parent, depth = np.full(fronts, -1), np.zeros(fronts, np.int64)
    for s in range(fronts):
        last = first[s + 1] - 1
        for t in range(start[s + 1] - start[s]):
            rows[start[s] + t] = below[begin[last] + t]
        if start[s + 1] > start[s]:
            parent[s] = owner[rows[start[s]]]
    for s in range(fronts - 1, -1, -1):
        p = parent[s]
        if p >= 0:
            depth[s] = depth[p] + 1
            width, q = first[p + 1] - first[p], start[p]
            for t in range(start[s], start[s + 1]):
                if rows[t] < first[p + 1]:
                    relative[t] = rows[t] - first[p]
                else:
                    while rows[q] < rows[t]:
                        q += 1
                    relative[t] = width + q - start[p]
    return owner, start, rows, relative, parent, depth


@njit(cache=True, nogil=True)
def entry_places(start, row, owner, first, rows_start, rows):
    """For each entry of the upper triangle in columns: its front, and row and column there."""
    front = np.empty(len(row), np.int64)
    down, across = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    for k in range(len(start) - 1):
        for p in range(start[k], start[k + 1]):
            s = owner[row[p]]
            front[p], across[p] = s, row[p] - first[s]
            if k < first[s + 1]:
                down[p] = k - first[s]
            else:
                inside = rows[rows_start[s] : rows_start[s + 1]]
                down[p] = first[s + 1] - first[s] + np.searchsorted(inside, k)
    return front, down, across


@njit(cache=True, nogil=True)
def stack_places(sizes, children, start, depth):
    """Where on two stacks, of even and odd depths, fronts leave numbers for their parents; the stacks' heights.

    Children, from `start[s]` to `start[s + 1]` those of front s, are right before their parents: what they leave is on
    top, and its place is free again once it is taken.
    """
    highest, top, places = np.zeros(2, np.int64), np.zeros(2, np.int64), np.empty(len(sizes), np.int64)
    for s in range(len(sizes)):
        own, other = depth[s] % 2, 1 - depth[s] % 2
        places[s] = top[own]
        top[own] += sizes[s]
        highest[own] = max(highest[own], top[own])
        for p in range(start[s], start[s + 1]):
            top[other] -= sizes[children[p]]
    return places, highest[0], highest[1]
