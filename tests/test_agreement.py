"""The places that know a layer agree: its descriptor in C, its class, its twin, its cases; and _core with its stub.

Each check is a function from what it compares to a list of complaints, so that this file can also show that leaving
something out is noticed.
"""

import ast
import inspect
import pathlib
import pkgutil

import numpy as np
import pytest
from cases import CASES, gradients_of

import badak as bd
from badak import _core, _reference, layers, optimizer

KINDS = _core.layer_kinds()
CLASSES = {
    found.kind: found for found in vars(layers).values() if inspect.isclass(found) and getattr(found, "kind", None)
}
OPTIMIZERS = {
    found.kind: found for found in vars(optimizer).values() if inspect.isclass(found) and getattr(found, "kind", None)
}


def missing(wanted, *places):
    """'Tanh is missing in ...' for each name of `wanted` that one of places (title, names) has not, or has too much."""
    for title, names in places:
        yield from (f"{name} is missing in {title}" for name in wanted if name not in names)
        yield from (f"{name} is in {title} only" for name in names if name not in wanted)


# ---------------------------------------------------------------- layers


def layer_complaints(kinds=KINDS, classes=CLASSES, public=None, twins=_reference.LAYERS, cases=CASES):
    """What does not agree among the five; each can be given to leave something out."""
    public = set(layers.__all__) | set(vars(bd)) if public is None else public
    complaints = [
        *missing(
            kinds,
            ("badak/layers.py", classes),
            ("badak/_reference.py", twins),
            ("the CASES of tests/cases.py", {case.kind: case for case in cases}),
        )
    ]
    for name in kinds.keys() & classes.keys():
        complaints += class_complaints(kinds[name], classes[name], public)
    for name in kinds.keys() & classes.keys() & twins.keys():
        complaints += twin_complaints(kinds[name], classes[name], twins[name])
    return complaints


def class_complaints(kind, layer, public):
    name = layer.__name__
    if name != layer.kind:
        yield f"the class {name} has the kind {layer.kind}"
    if name not in public:
        yield f"{name} is not public: layers.__all__, badak/__init__.py"
    yield from (
        f"{name} has no attribute {p}"
        for p in kind["params"]
        if not isinstance(getattr(layer, p, None), layers.Parameter)
    )
    yield from (f"{name} has no attribute d{p}" for p in kind["params"] if not hasattr(layer, "d" + p))
    if kind["is_loss"] != issubclass(layer, layers.LossLayer):
        yield f"{name} is a loss in one place only"
    signature = inspect.signature(layer)
    options, spelled = dict(kind["hyper"]), layer._spelled
    yield from (f"{name} spells {hyper}, the descriptor has it not" for hyper in spelled.keys() - options.keys())
    yield from (f"{name}.__init__ has no {b}" for b in kind["buffers"] if b not in signature.parameters)
    for hyper, default in options.items():
        parameter = signature.parameters.get(spelled.get(hyper, hyper))
        if parameter is None:
            yield f"{name}.__init__ has no {spelled.get(hyper, hyper)}"
        elif hyper in spelled and parameter.default is not None:  # in other words: what they come to must be the same
            if layer()._hyper[hyper] != default:
                yield f"{name}() has {hyper}={layer()._hyper[hyper]!r}, the descriptor {default!r}"
        elif parameter.default != default and not (default is None and parameter.default is inspect.Parameter.empty):
            yield f"{name}.__init__ has {hyper}={parameter.default!r}, the descriptor {default!r}"
    known = {*kind["params"], *(spelled.get(hyper, hyper) for hyper in options), *kind["buffers"]}
    known |= {"layers"} if kind["branches"] else set()
    yield from (f"{name}.__init__ has {p}, the descriptor has not" for p in signature.parameters if p not in known)


def twin_complaints(kind, layer, twin):
    name = layer.__name__
    params, options = set(kind["params"]), {hyper for hyper, _ in kind["hyper"]}
    branch = {"layers"} if kind["branches"] else set()
    needed = params | branch or options  # what the arrays decide, the twin need not be told
    found = inspect.signature(twin).parameters
    if not needed <= set(found) <= params | options | branch:
        yield f"the twin of {name} takes {sorted(found)}, expected {sorted(needed)}"
    for hyper, default in kind["hyper"]:
        needless = default is None and found[hyper].default is inspect.Parameter.empty if hyper in found else True
        if not needless and found[hyper].default != default:
            yield f"the twin of {name} has {hyper}={found[hyper].default!r}, expected {default!r}"
    for method in ("forward", "backward"):
        its, mine = (list(inspect.signature(getattr(c, method)).parameters) for c in (twin, layer))
        if its != mine:
            yield f"{method} of the twin of {name} takes {its}, expected {mine}"


def test_descriptors_classes_twins_and_cases_of_layers_agree():
    assert layer_complaints() == []


@pytest.mark.parametrize("name", KINDS)
def test_leaving_out_a_layer_anywhere_is_noticed(name):
    """The point of this file: a new layer is not finished while one of its places is missing."""

    def without(names):
        return {key: value for key, value in names.items() if key != name}

    assert any(name in text for text in layer_complaints(kinds=without(KINDS)))
    assert any(name in text and "layers.py" in text for text in layer_complaints(classes=without(CLASSES)))
    assert any(name in text and "_reference" in text for text in layer_complaints(twins=without(_reference.LAYERS)))
    rest = [case for case in CASES if case.kind != name]
    assert any(name in text and "CASES" in text for text in layer_complaints(cases=rest))
    assert any(name in text and "not public" in text for text in layer_complaints(public=set(KINDS) - {name}))


@pytest.mark.parametrize(
    ("name", "changes", "complaint"),
    [
        ("SoftmaxWithLoss", {"hyper": (("eps", 1e-7),)}, "eps=0.0, the descriptor 1e-07"),
        ("SoftmaxWithLoss", {"hyper": ()}, "has eps, the descriptor has not"),
        ("SoftmaxWithLoss", {"is_loss": False}, "loss in one place"),
        ("Relu", {"hyper": (("slope", 0.01),)}, "no slope"),
        ("Affine", {"params": ("W", "b", "c")}, "no attribute c"),
        ("Affine", {"params": ("W",)}, "has b, the descriptor has not"),
        ("Tanh", {"params": ("gain",)}, "the twin of Tanh takes"),
        ("Convolution", {"hyper": (("filters", None), ("height", None))}, "spells width"),
        ("Convolution", {"hyper": (("groups", 1), *KINDS["Convolution"]["hyper"])}, "no groups"),
        ("Convolution", {"hyper": (("height", 3), *KINDS["Convolution"]["hyper"][2:])}, "height"),
        ("BatchNormalization", {"buffers": ("running_mean",)}, "has running_var, the descriptor has not"),
        ("BatchNormalization", {"buffers": ("running_mean", "running_var", "count")}, "no count"),
        ("BatchNormalization", {"hyper": (("per_channel", 1),)}, "per_channel=0, the descriptor 1"),
    ],
)
def test_a_descriptor_that_says_otherwise_is_noticed(name, changes, complaint):
    changed = KINDS | {name: KINDS[name] | changes}
    assert any(complaint in text for text in layer_complaints(kinds=changed))


def test_every_layer_of_the_core_can_be_made_with_the_defaults_of_its_descriptor():
    for name, kind in KINDS.items():
        hyper = tuple(3 if default is None else default for _, default in kind["hyper"])
        made = _core.Layer(name, hyper)
        assert made.kind == name and made.hyper == hyper


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_layer_and_twin_have_the_same_gradients_and_attributes(case):
    layer, twin, arguments, dout = case.make(np.float64)
    layer.forward(*arguments)
    layer.backward(dout)
    twin.forward(*arguments)
    twin.backward(dout)
    assert list(gradients_of(layer)) == list(gradients_of(twin))
    options = {name for name, _ in KINDS[case.kind]["hyper"]}
    assert vars(twin).keys() - options <= set(dir(layer))
    assert set(KINDS[case.kind]["params"]) == set(layer.params) == set(layer.grads)


# ---------------------------------------------------------------- optimisers and functions


def optimizer_complaints(kinds=None, classes=OPTIMIZERS, twins=_reference.OPTIMIZERS):
    kinds = _core.optimizer_kinds() if kinds is None else kinds
    complaints = [*missing(kinds, ("badak/optimizer.py", classes), ("badak/_reference.py", twins))]
    for name in kinds.keys() & classes.keys() & twins.keys():
        expected = dict(kinds[name]["hyper"])
        for title, made in (("", classes[name]), ("the twin of ", twins[name])):
            found = {p.name: p.default for p in inspect.signature(made).parameters.values()}
            if list(found.items()) != list(expected.items()):
                complaints.append(f"{title}{name}.__init__ has {found}, the descriptor {expected}")
            state = [attribute for attribute in kinds[name]["state"] if not hasattr(made(), attribute)]
            complaints += [f"{title}{name} has no attribute {attribute}" for attribute in state]
        if name not in optimizer.__all__ or not hasattr(bd, name):
            complaints.append(f"{name} is not public: optimizer.__all__, badak/__init__.py")
    return complaints


def test_descriptors_classes_and_twins_of_optimizers_agree():
    assert optimizer_complaints() == []


@pytest.mark.parametrize("name", _core.optimizer_kinds())
def test_leaving_out_an_optimizer_anywhere_is_noticed(name):
    def without(names):
        return {key: value for key, value in names.items() if key != name}

    for argument, names in (
        ("kinds", _core.optimizer_kinds()),
        ("classes", OPTIMIZERS),
        ("twins", _reference.OPTIMIZERS),
    ):
        assert any(name in text for text in optimizer_complaints(**{argument: without(names)}))
    changed = _core.optimizer_kinds()
    changed[name]["hyper"][0] = ("lr", 0.5)
    assert any("lr" in text for text in optimizer_complaints(kinds=changed))


def test_every_function_has_a_twin_with_the_same_arguments():
    for name in bd.functions.__all__:
        found = getattr(bd.functions, name)
        if inspect.isfunction(found):
            mine = list(inspect.signature(found).parameters)
            assert list(inspect.signature(getattr(_reference, name)).parameters)[: len(mine)] == mine, name
            assert getattr(bd, name) is found


# ---------------------------------------------------------------- the stub of the core


def stub():
    return ast.parse((pathlib.Path(_core.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))


def public_names(names):
    return {name for name in names if not name.startswith("_")}


def stub_functions(body):
    """{name: argument names} of the functions and methods; a property has none."""
    found = {}
    for node in body:
        if isinstance(node, ast.FunctionDef) and not any("setter" in ast.unparse(d) for d in node.decorator_list):
            rest = [node.args.vararg] if node.args.vararg else []
            arguments = [*node.args.posonlyargs, *node.args.args, *rest, *node.args.kwonlyargs]
            found[node.name] = [a.arg for a in arguments if a.arg not in ("self", "cls")]
    return found


def stub_complaints(tree, module=_core):
    """What differs between a stub and a module: names, members of classes, arguments."""
    functions = stub_functions(tree.body)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    complaints = [
        *missing(
            public_names(vars(module)),
            ("_core.pyi", public_names([*functions, *classes])),
        )
    ]
    for name in public_names(functions) & vars(module).keys():
        complaints += argument_complaints(name, functions[name], getattr(module, name))
    for name in public_names(classes) & vars(module).keys():
        runtime, members = getattr(module, name), stub_functions(classes[name].body)
        special = {"__copy__", "__deepcopy__", "__new__"}
        wanted = {n for n in vars(runtime) if not n.startswith("__") or n in special}
        complaints += missing(wanted, (f"the class {name} of _core.pyi", members))
        for member in public_names(members) & wanted:
            if callable(getattr(runtime, member)):
                complaints += argument_complaints(f"{name}.{member}", members[member], getattr(runtime, member))
        if "__new__" in members and "__new__" in wanted:
            complaints += argument_complaints(name, members["__new__"], runtime)
    return complaints


def argument_complaints(name, written, runtime):
    found = [p for p in inspect.signature(runtime).parameters if p != "self"]
    if found != written:
        yield f"{name} takes {found}, _core.pyi says {written}"


def test_the_stub_of_the_core_agrees_with_the_core():
    assert stub_complaints(stub()) == []


def test_a_stub_that_forgets_or_invents_is_noticed():
    for node in stub().body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            tree = stub()
            tree.body = [n for n in tree.body if getattr(n, "name", None) != node.name]
            assert f"{node.name} is missing in _core.pyi" in stub_complaints(tree)
    invented = ast.parse(ast.unparse(stub()) + "\n\ndef convolve(x, W): ...\n")
    assert "convolve is in _core.pyi only" in stub_complaints(invented)
    changed = ast.parse(ast.unparse(stub()).replace("def softmax(x:", "def softmax(scores:"))
    assert any(text.startswith("softmax takes") for text in stub_complaints(changed))
    changed = ast.parse(ast.unparse(stub()).replace("def predict(self, x:", "def forecast(self, x:"))
    assert len(stub_complaints(changed)) == 2


def test_the_package_says_that_it_is_typed():
    assert (pathlib.Path(bd.__file__).parent / "py.typed").exists()


# ---------------------------------------------------------------- docstrings and public names


def described():
    for name in bd.__dir__():
        thing = getattr(bd, name)
        if not name.startswith("_") and (inspect.isclass(thing) or inspect.isroutine(thing) or inspect.ismodule(thing)):
            yield name, thing
    for module in (bd.functions, bd.gradient, bd.layers, bd.optimizer, _core):
        for name in getattr(module, "__all__", public_names(vars(module))):
            thing = getattr(module, name)
            if thing is not np:
                yield f"{module.__name__}.{name}", thing


@pytest.mark.parametrize(
    ("name", "thing"),
    sorted(dict(described()).items(), key=lambda pair: pair[0]),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_everything_public_is_described(name, thing):
    assert thing.__doc__ and len(thing.__doc__) > 10, name
    if inspect.isclass(thing):
        for member, found in vars(thing).items():
            if not member.startswith("_") and inspect.isfunction(found):
                inherited = (getattr(base, member, None) for base in thing.__mro__)
                assert any(getattr(f, "__doc__", None) for f in inherited), f"{name}.{member}"


def test_all_names_what_is_there():
    for module in (bd.functions, bd.gradient, bd.layers, bd.optimizer):
        assert sorted(module.__all__) == sorted(set(module.__all__))
        assert all(hasattr(module, name) for name in module.__all__)
        own = {n for n, f in vars(module).items() if getattr(f, "__module__", None) == module.__name__}
        handed_on = {"np", "im2col", "col2im", *bd.functions.__all__} if module is bd.layers else {"np"}
        assert set(module.__all__) - handed_on <= own
    for name in bd.__dir__():
        assert getattr(bd, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Convolution9'"):
        bd.Convolution9  # noqa: B018


def test_no_function_has_the_name_of_a_submodule():
    """Python would put the module in the function's place as soon as somebody imports it."""
    submodules = {module.name for module in pkgutil.iter_modules(bd.__path__)}
    for name in submodules & set(bd.__dir__()):
        assert inspect.ismodule(getattr(bd, name)), name
