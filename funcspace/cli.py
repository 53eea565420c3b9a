"""The command line: `funcspace --help` tells all of it."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

import funcspace as fs
from funcspace.atomic_write import check_folder
from funcspace.errors import FuncspaceError, InputError

__all__ = ["app", "main"]

app = typer.Typer(
    name="funcspace",
    help="Learn maps between functions: make data, fit surrogates, evaluate them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
MODELS = {"mgno": "MgNO", "fno": "FNO"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words)
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    except KeyboardInterrupt:
        typer.echo("interrupted; data, and a fit with --folder, go on with the same command", err=True)
        return 130
    except (FuncspaceError, OSError) as error:
        if "--debug" in words:
            raise
        typer.echo(f"error: {' '.join(_told(error).split())}  (--debug shows where)", err=True)
        return 1
    return 0


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and not isinstance(error, FuncspaceError):
        return f"cannot use {error.filename}: {error.strerror}; give a path that can be read or written"
    return str(error)


def _version(shown: bool | None) -> None:
    if shown:
        typer.echo(f"funcspace {fs.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = None,
) -> None:
    """Learn maps between functions: make data, fit surrogates, evaluate them."""


Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", hidden=True)]
Seed = Annotated[int, typer.Option(help="Seed of all randomness.")]
Inputs = Annotated[
    str | None,
    typer.Option(help="Functions that go in, such as a,b: names of arrays in the file, where it does not tell itself."),
]
Outputs = Annotated[str | None, typer.Option(help="Functions that come out, by name, where the file does not tell.")]
Parameters = Annotated[str | None, typer.Option(help="Arrays of one number per sample, by name.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress bar.")]


@app.command()
def demo(
    what: Annotated[str, typer.Argument(help="darcy (operators) or lorenz (a chaotic system).")] = "darcy",
    *,
    output: Annotated[Path, typer.Option(help="Folder for the table, the figure and the surrogate.")] = Path(
        "demo-output"
    ),
    seconds: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Training time: of each model for darcy (75), of both together for lorenz (95)."),
    ] = None,
    samples: Annotated[int, typer.Option(help="Darcy problems to solve; a fifth is kept for testing.")] = 300,
    resolution: Annotated[int, typer.Option(help="Grid points per side of Darcy problems.")] = 64,
    seed: Seed = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train, compare and use models under a time budget.

    darcy: solve Darcy problems, train MgNO and FNO on them, compare them, predict elsewhere. lorenz: learn the Lorenz
    system, compare the attractors, tell the model's exponent and symbols.
    """
    if what == "lorenz":
        from funcspace.demo_lorenz import run_lorenz_demo

        run_lorenz_demo(
            output, seconds=95.0 if seconds is None else seconds, seed=seed, progress=False if quiet else None
        )
        return
    if what != "darcy":
        raise InputError(f"no demo {what!r}; there is darcy and lorenz")
    from funcspace.demo import run_demo

    run_demo(
        output,
        seconds=75.0 if seconds is None else seconds,
        samples=samples,
        resolution=resolution,
        seed=seed,
        progress=False if quiet else None,
    )


def _problems(shown: bool | None) -> None:
    if shown:
        known = fs.solvers.problems()
        width = max(map(len, known))
        typer.echo("\n".join(f"{name:{width}s}  {text}" for name, text in known.items()))
        raise typer.Exit


@app.command()
def data(
    name: Annotated[str, typer.Argument(help="Problem, such as darcy; --list shows all.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, .nc or .zarr.")],
    samples: Annotated[int, typer.Option("--samples", "-n", help="How many samples.")] = 256,
    resolution: Annotated[int | None, typer.Option(help="Grid points per side; the same as --set resolution=.")] = None,
    coefficient: Annotated[
        str | None, typer.Option(help="Kind of coefficient; the same as --set coefficient=.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Option of the problem, such as resolution=128; repeatable.")
    ] = None,
    seed: Seed = 0,
    first: Annotated[int, typer.Option(help="Number of the first sample.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes; by default one for each core where it saves time.")
    ] = None,
    chunk: Annotated[int | None, typer.Option(help="Samples that are made and written together.")] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Start over instead of going on with what is there.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Make samples that failed once more.")] = False,
    listing: Annotated[
        bool | None, typer.Option("--list", callback=_problems, is_eager=True, help="List the problems and stop.")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Make a data set with a reference solver; after an interruption, the same command goes on."""
    given = {"resolution": resolution, "coefficient": coefficient}
    options = {key: value for key, value in given.items() if value is not None} | _pairs(option or [])
    with _options_of_the_user(name, options):
        problem = fs.solvers.problem(name, **options)
    with _flags_for({"resume=False": "--restart"}):
        made = fs.solvers.generate(
            problem, samples, output, seed, first=first, chunk=chunk, workers=workers,
            progress=False if quiet else None, resume=not restart, retry_failed=retry_failed,
        )  # fmt: skip
    typer.echo(f"{made.data!r}\nwritten to {output}")
    for sample in made.failed:
        typer.echo(f"sample {sample.index} failed: {' '.join(sample.message.split())}", err=True)


@app.command()
def fit(
    source: Annotated[
        Path,
        typer.Argument(
            help="Data: a file written by `funcspace data`, or any that OperatorData.read knows: .nc, .zarr, .npz, ..."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the surrogate.")],
    inputs: Inputs = None,
    outputs: Outputs = None,
    parameters: Parameters = None,
    model: Annotated[str, typer.Option(help=f"Model: {', '.join(MODELS)}.")] = "mgno",
    option: Annotated[
        list[str] | None, typer.Option("--set", help="Model option, such as width=24; repeatable.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the data.")] = 50,
    seconds: Annotated[Optional[float], typer.Option(help="Stop after this much training time.")] = None,  # noqa: UP045
    batch_size: Annotated[int, typer.Option(help="Samples per step.")] = 8,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate; the model's own by default.")] = None,
    validation: Annotated[float, typer.Option(help="Share of the samples kept for validation; 0 for none.")] = 0.2,
    folder: Annotated[Path | None, typer.Option(help="Folder for checkpoints; the same command then resumes.")] = None,
    precision: Annotated[str, typer.Option(help="32, 64, 16-mixed or bf16-mixed.")] = "32",
    compiled: Annotated[bool, typer.Option("--compile", help="Run the model through torch.compile.")] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Train a surrogate on a data set."""
    if not 0 <= validation < 1:
        raise InputError(f"validation must be a share in [0, 1), got {validation}")
    _check_place(output, folder)
    everything = _read(source, inputs, outputs, parameters)
    train, held = everything, None
    if validation:
        count = max(1, round(validation * len(everything)))
        train, held = everything.split(len(everything) - count)
    kind = _model(model)
    options = {"seed": seed} | _options_of(kind, option or [])
    with _options_of_the_user(kind.__name__, options):
        module = kind.for_data(train, **options)
    with _flags_for({"pass resume=False to start again": "remove it to start again"}):
        surrogate = fs.fit(
            module, train, validation=held, epochs=epochs, seconds=seconds, batch_size=batch_size,
            learning_rate=learning_rate, folder=folder, precision=precision, compile=compiled, seed=seed,
            progress=False if quiet else None,
        )  # fmt: skip
    surrogate.save(output)
    typer.echo(repr(surrogate))
    if held is not None:
        typer.echo(_metrics(surrogate.evaluate(held)))
    typer.echo(f"saved to {output}")


@app.command()
def evaluate(
    surrogate: Annotated[Path, typer.Argument(help="Folder of a saved surrogate.")],
    source: Annotated[Path, typer.Argument(help="Data to measure on, in any format that `funcspace fit` reads.")],
    inputs: Inputs = None,
    outputs: Outputs = None,
    parameters: Parameters = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as one JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Measure a saved surrogate on a data set."""
    loaded = fs.load(surrogate)
    held = _read(source, inputs, outputs, parameters)
    metrics = loaded.evaluate(held)
    typer.echo(json.dumps({"samples": len(held), **metrics}) if as_json else _metrics(metrics))


@app.command()
def systems(
    name: Annotated[Optional[str], typer.Argument(help="Describe this system.")] = None,  # noqa: UP045
    kind: Annotated[Optional[str], typer.Option(help="flow, map or delay.")] = None,  # noqa: UP045
    dimension: Annotated[Optional[int], typer.Option(help="Number of components.")] = None,  # noqa: UP045
    containing: Annotated[str, typer.Option(help="Part of the name, in any case.")] = "",
    motion: Annotated[Optional[str], typer.Option(help="chaotic, hyperchaotic, transient, ...")] = None,  # noqa: UP045
    subset: Annotated[str, typer.Option(help="all, core or gilpin131.")] = "all",
    debug: Debug = False,
) -> None:
    """List the systems of the chaos database, or describe one.

    Known by name, but not in the database, are KolmogorovFlow, KuramotoSivashinsky and TwoScaleLorenz96.
    """
    from funcspace.dynamics.catalogue import registry

    if name is not None:
        found: Any = fs.dynamics.system(name)
        texts = (getattr(found, each, "") for each in ("description", "citation"))
        typer.echo("\n".join((repr(found), *texts)).rstrip())
        if found.period is not None:
            typer.echo(f"period {found.period:g}")
        for key, value in getattr(found, "annotations", {}).items():
            typer.echo(f"{key.replace('_', ' ')}: {value}")
        return
    wanted: dict[str, Any] = {"kind": kind, "dimension": dimension, "kind_of": motion, "subset": subset}
    names = fs.dynamics.systems(**wanted)
    chosen = [each for each in names if containing.lower() in each.lower()]
    typer.echo("\n".join(chosen) if chosen else "no system of the database has all of these properties")
    others = [each for each in registry.OTHERS if containing.lower() in each.lower()]
    if others and containing and set(wanted.values()) == {None, "all"}:  # no property but the name is asked for
        typer.echo(f"known by name, but not in the database: {', '.join(others)}", err=True)


@app.command()
def info(
    path: Annotated[Optional[Path], typer.Argument(help="A saved surrogate or a data set.")] = None,  # noqa: UP045
    inputs: Inputs = None,
    outputs: Outputs = None,
    parameters: Parameters = None,
    debug: Debug = False,
) -> None:
    """Describe a saved surrogate or a data set; without a path, the installation."""
    if path is None:
        typer.echo(_installation())
    elif (path / "surrogate.json").exists():
        loaded = fs.load(path)
        typer.echo(repr(loaded))
        typer.echo(json.dumps(loaded.provenance, indent=2, default=str))
    else:
        typer.echo(repr(_read(path, inputs, outputs, parameters)))


def _read(path: Path, inputs: str | None, outputs: str | None, parameters: str | None) -> Any:
    names = {"inputs": inputs, "outputs": outputs, "parameters": parameters}
    given: dict[str, Any] = {key: _names(key, text) for key, text in names.items() if text is not None}
    flags = {f"{key}=[...]": f"--{key}" for key in names}
    with _flags_for(flags | {"domain=...": "domain=... (of OperatorData.read, in Python)"}):
        return fs.OperatorData.read(path, **given)


def _names(option: str, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise InputError(f"--{option} takes names with commas between them, such as a,b; got {text!r}")
    return names


def _check_place(output: Path, checkpoints: Path | None) -> None:
    """Refuse before the training a folder that the surrogate cannot be saved to."""
    from funcspace.training.surrogate_files import DESCRIPTION

    if checkpoints is not None and output.resolve() in (checkpoints.resolve(), *checkpoints.resolve().parents):
        raise InputError(
            f"--folder {checkpoints} lies in --output {output}, a folder that holds the surrogate and nothing else; "
            "choose another folder for the checkpoints"
        )
    check_folder(output, may_replace=lambda old: (old / DESCRIPTION).exists())


@contextmanager
def _flags_for(words: Mapping[str, str]) -> Iterator[None]:
    """An error that names arguments of the library names those of the command line."""
    try:
        yield
    except FuncspaceError as error:
        text = str(error)
        for word, flag in words.items():
            text = text.replace(word, flag)
        error.args = (text,)
        raise


@contextmanager
def _options_of_the_user(what: str, options: Mapping[str, Any]) -> Iterator[None]:
    """What a constructor cannot do with the options that were given is an InputError that shows them."""
    try:
        yield
    except FuncspaceError:
        raise
    except (TypeError, ValueError, ArithmeticError, LookupError, RuntimeError) as error:
        if not options:
            raise
        given = ", ".join(f"{key}={value!r}" for key, value in options.items())
        raise InputError(
            f"{what} cannot be made with {given}: {error}; give values of the kind that its documentation names"
        ) from error


def _model(name: str) -> Any:
    if name.lower() not in MODELS:
        raise InputError(f"no model {name!r}; there is {', '.join(MODELS)}")
    return getattr(fs.operators, MODELS[name.lower()])


def _options_of(kind: type, words: Sequence[str]) -> dict[str, Any]:
    known = [name for name in inspect.signature(kind).parameters if name not in ("in_channels", "out_channels")]
    options = _pairs(words)
    for key in options:
        if key not in known:
            raise InputError(f"{kind.__name__} has no option {key!r}; it has {', '.join(known)}")
    return options


def _pairs(words: Sequence[str]) -> dict[str, Any]:
    """The options of words name=value; a value is read as JSON where it is JSON."""
    options: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign:
            raise InputError(f"--set takes name=value, got {word!r}")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def _metrics(metrics: dict[str, float]) -> str:
    return "\n".join(f"{name:12s} {value:.4e}" for name, value in metrics.items())


def _installation() -> str:
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    names = ("torch", "numpy", "scipy", "xarray", "scikit-fem", "neuraloperator", "torch-geometric", "numba", "pyamg",
             "meshio", "zarr", "netCDF4", "lightning-fabric", "dysts", "matplotlib")  # fmt: skip
    lines = [
        f"funcspace        {fs.__version__}",
        f"python           {platform.python_version()} on {platform.platform()}",
    ]
    for name in names:
        try:
            lines.append(f"{name:16s} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name:16s} not installed")
    lines.append(f"devices          cpu ({torch.get_num_threads()} threads)" + "".join(
        f", cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
    ))  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
