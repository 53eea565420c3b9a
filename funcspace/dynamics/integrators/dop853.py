"""DOP853 compiled: an explicit Runge-Kutta method of order 8 with dense output of order 7.

x(t + h) = x(t) + h sum_i b_i k_i,  k_i = f(t + c_i h, x + h sum_{j<i} a_ij k_j),  12 stages, 3 more for dense output

E. Hairer, S. P. Norsett and G. Wanner, Solving Ordinary Differential Equations I (1993), section II.10; the error
estimate combines those of order 5 and 3. Stiffness is seen as there: h |k_12 - k_11| / |x_12 - x_11| estimates
h |lambda| and lies outside the domain of stability fifteen times.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit

from funcspace.dynamics.integrators.calls import call_field
from funcspace.dynamics.integrators.first_step import first_step
from funcspace.dynamics.integrators.outcome import (
    ACROSS,
    BLOWN_UP,
    DONE,
    NOT_FINITE,
    STEP_TOO_SMALL,
    STIFF,
    TOO_MANY_STEPS,
)

__all__ = ["ROWS", "dop853"]

ROWS = 26
SPECIALISED = (3,)


def dop853(dimension: int) -> Any:
    """The compiled driver; for the commonest dimension one whose loops over components are unrolled."""
    return _compiled(dimension if dimension in SPECIALISED else 0)


@cache
def _compiled(dimension: int) -> Any:
    @njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
    def integrate(
        field,
        event,
        direction,
        start,
        stop,
        initial,
        p,
        times,
        out,
        rtol,
        atol,
        limit,
        first_steps,
        longest,
        max_steps,
        detect,
        event_times,
        event_states,
        report,
    ):
        d = dimension if dimension > 0 else initial.shape[1]
        n, wanted = times.shape[0], event_times.shape[1]
        w = np.empty((ROWS, d))
        g = np.empty((1, 1))
        end = times[n - 1]
        for row in range(start, stop):
            t = times[0]
            for i in range(d):
                w[0, i] = initial[row, i]
                out[row, 0, i] = w[0, i]
            sample, steps, rejected, found = 1, 0, 0, 0
            suspicious, innocent, across = 0, 0, 0
            code = DONE
            call_field(field, t, w, 0, p, row, w, 3)
            h, calls = first_steps[row], 1
            if h == 0.0:
                h = first_step(field, t, end - t, w, p, row, rtol, atol, 0.125)
                calls = 2
            h = min(h, longest)
            before = 0.0
            if event != 0:
                call_field(event, t, w, 0, p, row, g, 0)
                before = g[0, 0]
            while sample < n:
                if steps + rejected >= max_steps:
                    code = TOO_MANY_STEPS
                    break
                smallest = 1e-15 * max(abs(t), 1e-3 * (end - times[0]))
                if not h > smallest:
                    if across == ACROSS:
                        code = STEP_TOO_SMALL
                        break
                    across, h = across + 1, smallest
                for i in range(d):
                    w[2, i] = w[0, i] + h * (0.05260015195876773 * w[3, i])
                call_field(field, t + 0.05260015195876773 * h, w, 2, p, row, w, 4)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (0.0197250569845379 * w[3, i] + 0.0591751709536137 * w[4, i])
                call_field(field, t + 0.0789002279381516 * h, w, 2, p, row, w, 5)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (0.02958758547680685 * w[3, i] + 0.08876275643042054 * w[5, i])
                call_field(field, t + 0.1183503419072274 * h, w, 2, p, row, w, 6)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.2413651341592667 * w[3, i] - 0.8845494793282861 * w[5, i] + 0.924834003261792 * w[6, i]
                    )
                call_field(field, t + 0.2816496580927726 * h, w, 2, p, row, w, 7)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.037037037037037035 * w[3, i] + 0.17082860872947386 * w[6, i] + 0.12546768756682242 * w[7, i]
                    )
                call_field(field, t + 0.3333333333333333 * h, w, 2, p, row, w, 8)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.037109375 * w[3, i]
                        + 0.17025221101954405 * w[6, i]
                        + 0.06021653898045596 * w[7, i]
                        - 0.017578125 * w[8, i]
                    )
                call_field(field, t + 0.25 * h, w, 2, p, row, w, 9)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.03709200011850479 * w[3, i]
                        + 0.17038392571223998 * w[6, i]
                        + 0.10726203044637328 * w[7, i]
                        - 0.015319437748624402 * w[8, i]
                        + 0.008273789163814023 * w[9, i]
                    )
                call_field(field, t + 0.3076923076923077 * h, w, 2, p, row, w, 10)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.6241109587160757 * w[3, i]
                        - 3.3608926294469414 * w[6, i]
                        - 0.868219346841726 * w[7, i]
                        + 27.59209969944671 * w[8, i]
                        + 20.154067550477894 * w[9, i]
                        - 43.48988418106996 * w[10, i]
                    )
                call_field(field, t + 0.6512820512820513 * h, w, 2, p, row, w, 11)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        0.47766253643826434 * w[3, i]
                        - 2.4881146199716677 * w[6, i]
                        - 0.590290826836843 * w[7, i]
                        + 21.230051448181193 * w[8, i]
                        + 15.279233632882423 * w[9, i]
                        - 33.28821096898486 * w[10, i]
                        - 0.020331201708508627 * w[11, i]
                    )
                call_field(field, t + 0.6 * h, w, 2, p, row, w, 12)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        -0.9371424300859873 * w[3, i]
                        + 5.186372428844064 * w[6, i]
                        + 1.0914373489967295 * w[7, i]
                        - 8.149787010746927 * w[8, i]
                        - 18.52006565999696 * w[9, i]
                        + 22.739487099350505 * w[10, i]
                        + 2.4936055526796523 * w[11, i]
                        - 3.0467644718982196 * w[12, i]
                    )
                call_field(field, t + 0.8571428571428571 * h, w, 2, p, row, w, 13)
                for i in range(d):
                    w[2, i] = w[0, i] + h * (
                        2.273310147516538 * w[3, i]
                        - 10.53449546673725 * w[6, i]
                        - 2.0008720582248625 * w[7, i]
                        - 17.9589318631188 * w[8, i]
                        + 27.94888452941996 * w[9, i]
                        - 2.8589982771350235 * w[10, i]
                        - 8.87285693353063 * w[11, i]
                        + 12.360567175794303 * w[12, i]
                        + 0.6433927460157636 * w[13, i]
                    )
                call_field(field, t + h, w, 2, p, row, w, 14)
                for i in range(d):
                    w[1, i] = w[0, i] + h * (
                        0.054293734116568765 * w[3, i]
                        + 4.450312892752409 * w[8, i]
                        + 1.8915178993145003 * w[9, i]
                        - 5.801203960010585 * w[10, i]
                        + 0.3111643669578199 * w[11, i]
                        - 0.1521609496625161 * w[12, i]
                        + 0.20136540080403034 * w[13, i]
                        + 0.04471061572777259 * w[14, i]
                    )
                error5, error3 = 0.0, 0.0
                for i in range(d):
                    e5 = (
                        0.01312004499419488 * w[3, i]
                        - 1.2251564463762044 * w[8, i]
                        - 0.4957589496572502 * w[9, i]
                        + 1.6643771824549864 * w[10, i]
                        - 0.35032884874997366 * w[11, i]
                        + 0.3341791187130175 * w[12, i]
                        + 0.08192320648511571 * w[13, i]
                        - 0.022355307863886294 * w[14, i]
                    )
                    e3 = (
                        -0.18980075407240762 * w[3, i]
                        + 4.450312892752409 * w[8, i]
                        + 1.8915178993145003 * w[9, i]
                        - 5.801203960010585 * w[10, i]
                        - 0.4226823213237919 * w[11, i]
                        - 0.1521609496625161 * w[12, i]
                        + 0.20136540080403034 * w[13, i]
                        + 0.02265179219836082 * w[14, i]
                    )
                    scale = atol[i] + rtol * max(abs(w[0, i]), abs(w[1, i]))
                    error5 += (e5 / scale) ** 2
                    error3 += (e3 / scale) ** 2
                weight = error5 + 0.01 * error3
                error = 0.0 if weight == 0.0 else h * error5 / np.sqrt(d * weight)
                calls += 11
                if not error < 1.0 and not (h == smallest and np.isfinite(error)):
                    rejected += 1
                    finite = np.isfinite(error)
                    h *= max(0.2, 0.9 / np.sqrt(np.sqrt(np.sqrt(error)))) if finite else 0.1
                    if not finite and not h > 1e-12 * max(abs(t), 1e-3 * (end - times[0])):
                        code = NOT_FINITE
                        break
                    continue
                call_field(field, t + h, w, 1, p, row, w, 15)
                calls += 1
                steps += 1
                across = 0 if error < 1.0 else across
                if detect:
                    change, distance = 0.0, 0.0
                    for i in range(d):
                        change += (w[15, i] - w[14, i]) ** 2
                        distance += (w[1, i] - w[2, i]) ** 2
                    if distance > 0.0 and h * h * change > 37.2 * distance:
                        innocent = 0
                        suspicious += 1
                        if suspicious == 15:
                            code = STIFF
                    elif suspicious > 0:
                        innocent += 1
                        if innocent == 6:
                            suspicious = 0
                crossed = False
                after = 0.0
                if event != 0:
                    call_field(event, t + h, w, 1, p, row, g, 0)
                    after = g[0, 0]
                    up, down = before < 0.0 <= after, before > 0.0 >= after
                    crossed = (up and direction >= 0) or (down and direction <= 0)
                if crossed or times[sample] <= t + h:
                    # The three stages and the polynomial of the dense output.
                    for i in range(d):
                        w[2, i] = w[0, i] + h * (
                            0.056167502283047954 * w[3, i]
                            + 0.25350021021662483 * w[9, i]
                            - 0.2462390374708025 * w[10, i]
                            - 0.12419142326381637 * w[11, i]
                            + 0.15329179827876568 * w[12, i]
                            + 0.00820105229563469 * w[13, i]
                            + 0.007567897660545699 * w[14, i]
                            - 0.008298 * w[15, i]
                        )
                    call_field(field, t + 0.1 * h, w, 2, p, row, w, 16)
                    for i in range(d):
                        w[2, i] = w[0, i] + h * (
                            0.03183464816350214 * w[3, i]
                            + 0.028300909672366776 * w[8, i]
                            + 0.053541988307438566 * w[9, i]
                            - 0.05492374857139099 * w[10, i]
                            - 0.00010834732869724932 * w[13, i]
                            + 0.0003825710908356584 * w[14, i]
                            - 0.00034046500868740456 * w[15, i]
                            + 0.1413124436746325 * w[16, i]
                        )
                    call_field(field, t + 0.2 * h, w, 2, p, row, w, 17)
                    for i in range(d):
                        w[2, i] = w[0, i] + h * (
                            -0.42889630158379194 * w[3, i]
                            - 4.697621415361164 * w[8, i]
                            + 7.683421196062599 * w[9, i]
                            + 4.06898981839711 * w[10, i]
                            + 0.3567271874552811 * w[11, i]
                            - 0.0013990241651590145 * w[15, i]
                            + 2.9475147891527724 * w[16, i]
                            - 9.15095847217987 * w[17, i]
                        )
                    call_field(field, t + 0.7777777777777778 * h, w, 2, p, row, w, 18)
                    for i in range(d):
                        w[19, i] = w[1, i] - w[0, i]
                        w[20, i] = h * w[3, i] - w[19, i]
                        w[21, i] = w[19, i] - h * w[15, i] - w[20, i]
                        w[22, i] = h * (
                            -8.428938276109013 * w[3, i]
                            + 0.5667149535193777 * w[8, i]
                            - 3.0689499459498917 * w[9, i]
                            + 2.38466765651207 * w[10, i]
                            + 2.117034582445028 * w[11, i]
                            - 0.871391583777973 * w[12, i]
                            + 2.2404374302607883 * w[13, i]
                            + 0.6315787787694688 * w[14, i]
                            - 0.08899033645133331 * w[15, i]
                            + 18.148505520854727 * w[16, i]
                            - 9.194632392478356 * w[17, i]
                            - 4.436036387594894 * w[18, i]
                        )
                        w[23, i] = h * (
                            10.427508642579134 * w[3, i]
                            + 242.28349177525817 * w[8, i]
                            + 165.20045171727028 * w[9, i]
                            - 374.5467547226902 * w[10, i]
                            - 22.113666853125306 * w[11, i]
                            + 7.733432668472264 * w[12, i]
                            - 30.674084731089398 * w[13, i]
                            - 9.332130526430229 * w[14, i]
                            + 15.697238121770845 * w[15, i]
                            - 31.139403219565178 * w[16, i]
                            - 9.35292435884448 * w[17, i]
                            + 35.81684148639408 * w[18, i]
                        )
                        w[24, i] = h * (
                            19.985053242002433 * w[3, i]
                            - 387.0373087493518 * w[8, i]
                            - 189.17813819516758 * w[9, i]
                            + 527.8081592054236 * w[10, i]
                            - 11.57390253995963 * w[11, i]
                            + 6.8812326946963 * w[12, i]
                            - 1.0006050966910838 * w[13, i]
                            + 0.7777137798053443 * w[14, i]
                            - 2.778205752353508 * w[15, i]
                            - 60.19669523126412 * w[16, i]
                            + 84.32040550667716 * w[17, i]
                            + 11.99229113618279 * w[18, i]
                        )
                        w[25, i] = h * (
                            -25.69393346270375 * w[3, i]
                            - 154.18974869023643 * w[8, i]
                            - 231.5293791760455 * w[9, i]
                            + 357.6391179106141 * w[10, i]
                            + 93.40532418362432 * w[11, i]
                            - 37.45832313645163 * w[12, i]
                            + 104.0996495089623 * w[13, i]
                            + 29.8402934266605 * w[14, i]
                            - 43.53345659001114 * w[15, i]
                            + 96.32455395918828 * w[16, i]
                            - 39.17726167561544 * w[17, i]
                            - 149.72683625798564 * w[18, i]
                        )
                    calls += 3
                    while sample < n and times[sample] <= t + h:
                        x = (times[sample] - t) / h
                        y = 1.0 - x
                        for i in range(d):
                            inner = w[23, i] + y * (w[24, i] + x * w[25, i])
                            inner = w[20, i] + x * (w[21, i] + y * (w[22, i] + x * inner))
                            out[row, sample, i] = w[0, i] + x * (w[19, i] + y * inner)
                        sample += 1
                    if crossed:
                        x, low, high, value_low, value_high = 0.5, 0.0, 1.0, before, after
                        for attempt in range(60):
                            x = (low * value_high - high * value_low) / (value_high - value_low)
                            if attempt % 3 == 2 or not low < x < high:
                                x = 0.5 * (low + high)
                            y = 1.0 - x
                            for i in range(d):
                                inner = w[23, i] + y * (w[24, i] + x * w[25, i])
                                inner = w[20, i] + x * (w[21, i] + y * (w[22, i] + x * inner))
                                w[2, i] = w[0, i] + x * (w[19, i] + y * inner)
                            call_field(event, t + x * h, w, 2, p, row, g, 0)
                            value = g[0, 0]
                            if value == 0.0 or high - low < 1e-15:
                                break
                            if (value < 0.0) == (value_low < 0.0):
                                low, value_low = x, value
                            else:
                                high, value_high = x, value
                        event_times[row, found] = t + x * h
                        for i in range(d):
                            event_states[row, found, i] = w[2, i]
                        found += 1
                before = after
                t += h
                largest = 0.0
                for i in range(d):
                    w[0, i] = w[1, i]
                    w[3, i] = w[15, i]
                    largest = max(largest, abs(w[0, i]) * (rtol / atol[i]))
                if largest > limit:
                    code = BLOWN_UP
                if code != DONE or (wanted > 0 and found == wanted):
                    break
                factor = 0.9 / np.sqrt(np.sqrt(np.sqrt(error))) if error > 1e-12 else 6.0
                h = min(h * min(6.0, factor), longest)
            report[row, 0], report[row, 1], report[row, 2], report[row, 3] = code, sample, steps, rejected
            report[row, 4], report[row, 5], report[row, 6], report[row, 7] = calls, t, h, found
            for i in range(d):
                report[row, 8 + i] = w[0, i]

    return integrate
