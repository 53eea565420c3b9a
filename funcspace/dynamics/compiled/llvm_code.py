"""Machine code of expressions: a graph becomes LLVM code, an object file in the cache, and the address of a function.

Two kinds of function, both without a result and without side effects but on their last argument:

===========  ==========================================  ===================================================
kind         C signature                                 writes
===========  ==========================================  ===================================================
"field"      (t, state*, parameters*, out*)              the outputs
"extended"   (t, state*, parameters*, out*)              of a state followed by k tangent vectors v (each a
                                                         row) and one number: f, then the rows (df/dx) v, then
                                                         the divergence of f. k is the entry after the last
                                                         parameter
===========  ==========================================  ===================================================
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from funcspace.dynamics.compiled.differentiation import jacobian
from funcspace.dynamics.compiled.expression import Graph
from funcspace.dynamics.compiled.object_cache import object_file

__all__ = ["extended_address", "field_address"]

FORMAT = "1"
INTRINSICS = ("sqrt", "exp", "log", "sin", "cos", "floor")
LIBRARY = ("tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
_lock = threading.Lock()
_engines: list[Any] = []


def field_address(graph: Graph, outputs: Sequence[int]) -> int:
    """The address of the function that computes the outputs."""
    return _address("field", *graph.reduced(outputs), 0, 0)


def extended_address(graph: Graph, outputs: Sequence[int], dimension: int, parameters: int) -> int:
    """The address of the function that computes the outputs and their derivatives along k tangent vectors."""
    rows = jacobian(graph, outputs, dimension)
    trace = graph.put("constant", 0.0)
    for i in range(dimension):
        trace = graph.binary("add", trace, rows[i][i])
    flat = [*outputs, *(entry for row in rows for entry in row), trace]
    return _address("extended", *graph.reduced(flat), dimension, parameters)


def _address(kind: str, graph: Graph, outputs: list[int], dimension: int, parameters: int) -> int:
    return _loaded(kind, graph.to_json(), tuple(outputs), dimension, parameters)


@cache
def _loaded(kind: str, nodes: str, outputs: tuple[int, ...], dimension: int, parameters: int) -> int:
    import json

    import llvmlite
    import llvmlite.binding as llvm

    with _lock:
        machine, host = _machine()
        key = "\n".join((FORMAT, llvmlite.__version__, host, kind, nodes, repr(outputs), f"{dimension} {parameters}"))
        name = hashlib.sha256(key.encode()).hexdigest()[:40]

        def build() -> bytes:
            module = llvm.parse_assembly(_module(kind, Graph(json.loads(nodes)), outputs, dimension, parameters))
            module.triple = machine.triple
            module.verify()
            return machine.emit_object(module)

        engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        engine.add_object_file(llvm.ObjectFileRef.from_data(object_file(name, build)))
        engine.finalize_object()
        _engines.append(engine)  # the code lives as long as its engine
        return engine.get_function_address("formula")


@cache
def _machine() -> tuple[Any, str]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=name, features=features, opt=2, reloc="default", codemodel="jitdefault")
    return machine, f"{target.triple} {name} {features}"


def _module(kind: str, graph: Graph, outputs: Sequence[int], dimension: int, parameters: int) -> str:
    from llvmlite import ir

    module = ir.Module(name="formula")
    double = ir.DoubleType()
    pointer = double.as_pointer()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), (double, pointer, pointer, pointer)), "formula")
    for argument in function.args[1:]:
        argument.add_attribute("noalias")
    function.attributes.add("nounwind")
    builder = ir.IRBuilder(function.append_basic_block())
    values = _Emitter(builder, module).values(graph, function.args)
    out = function.args[3]
    count = dimension if kind == "extended" else len(outputs)
    for place, number in enumerate(outputs[:count]):
        builder.store(values[number], builder.gep(out, [_index(place)]))
    if kind == "extended":
        entries = [outputs[count + i * dimension : count + (i + 1) * dimension] for i in range(dimension)]
        end = _tangents(builder, graph, values, entries, function.args, parameters)
        builder.store(values[outputs[-1]], builder.gep(out, [end]))
    builder.ret_void()
    return str(module)


def _index(i: int) -> Any:
    from llvmlite import ir

    return ir.Constant(ir.IntType(64), i)


def _tangents(builder: Any, graph: Graph, values: Sequence[Any], entries: Any, arguments: Any, parameters: int) -> Any:
    """A loop over the tangent vectors, each multiplied by the nonzero entries of the Jacobian; where they end."""
    from llvmlite import ir

    _, state, given, out = arguments
    dimension = len(entries)
    count = builder.fptosi(builder.load(builder.gep(given, [_index(parameters)])), ir.IntType(64))
    end = builder.mul(builder.add(count, _index(1)), _index(dimension))
    before = builder.block
    loop, after = builder.append_basic_block(), builder.append_basic_block()
    builder.cbranch(builder.icmp_signed(">", count, _index(0)), loop, after)
    builder.position_at_end(loop)
    start = builder.phi(ir.IntType(64))
    start.add_incoming(_index(dimension), before)
    vector = [builder.load(builder.gep(state, [builder.add(start, _index(j))])) for j in range(dimension)]
    for i, row in enumerate(entries):
        total = None
        for j, number in enumerate(row):
            value = graph.number(number)
            if value == 0.0:
                continue
            term = vector[j] if value == 1.0 else builder.fmul(values[number], vector[j], flags=("contract",))
            total = term if total is None else builder.fadd(total, term, flags=("contract",))
        if total is None:
            total = ir.Constant(ir.DoubleType(), 0.0)
        builder.store(total, builder.gep(out, [builder.add(start, _index(i))]))
    following = builder.add(start, _index(dimension))
    start.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, end), loop, after)
    builder.position_at_end(after)
    return end


class _Emitter:
    """Instructions for the nodes of a graph."""

    def __init__(self, builder: Any, module: Any) -> None:
        from llvmlite import ir

        self.builder, self.module, self.ir = builder, module, ir
        self.double = ir.DoubleType()

    def values(self, graph: Graph, arguments: Any) -> list[Any]:
        time, state, parameters, _ = arguments
        load = lambda pointer, i: self.builder.load(self.builder.gep(pointer, [_index(i)]))  # noqa: E731
        values: list[Any] = []
        for node in graph.nodes:
            match node[0]:
                case "constant":
                    values.append(self.constant(node[1]))
                case "state":
                    values.append(load(state, node[1]))
                case "parameter":
                    values.append(load(parameters, node[1]))
                case "time":
                    values.append(time)
                case operation:
                    values.append(self.operation(operation, [values[i] for i in node[1:]]))
        return values

    def constant(self, value: float) -> Any:
        return self.ir.Constant(self.double, value)

    def call(self, name: str, arguments: Sequence[Any]) -> Any:
        known = self.module.globals.get(name)
        if known is None:
            kind = self.ir.FunctionType(self.double, [self.double] * len(arguments))
            known = self.ir.Function(self.module, kind, name)
            known.attributes.add("nounwind")
        return self.builder.call(known, arguments)

    def operation(self, operation: str, x: Sequence[Any]) -> Any:
        builder = self.builder
        contract = ("contract",)
        match operation:
            case "add":
                return builder.fadd(x[0], x[1], flags=contract)
            case "sub":
                return builder.fsub(x[0], x[1], flags=contract)
            case "mul":
                return builder.fmul(x[0], x[1], flags=contract)
            case "div":
                return builder.fdiv(x[0], x[1])
            case "neg":
                return builder.fneg(x[0])
            case "abs":
                return self.call("llvm.fabs.f64", x)
            case "pow":
                return self.call("llvm.pow.f64", x)
            case "min" | "max":
                first = builder.fcmp_unordered("<" if operation == "min" else ">", x[0], x[1])
                return builder.select(first, x[0], x[1])
            case "lt" | "le" | "eq":
                sign = {"lt": "<", "le": "<=", "eq": "=="}[operation]
                return builder.uitofp(builder.fcmp_ordered(sign, x[0], x[1]), self.double)
            case "select":
                return builder.select(builder.fcmp_unordered("!=", x[0], self.constant(0.0)), x[1], x[2])
            case "sign":
                positive = builder.fcmp_ordered(">", x[0], self.constant(0.0))
                negative = builder.fcmp_ordered("<", x[0], self.constant(0.0))
                other = builder.select(negative, self.constant(-1.0), x[0])
                return builder.select(positive, self.constant(1.0), other)
        if operation in INTRINSICS:
            return self.call(f"llvm.{operation}.f64", x)
        return self.call(operation, x)
