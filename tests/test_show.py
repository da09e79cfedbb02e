import inspect

import pytest

import badak as bd
from badak import _core, _reference, functions, layers, optimizer
from badak._texts import folder

LAYERS = sorted(_core.layer_kinds())
OPTIMIZERS = sorted(_core.optimizer_kinds())
FUNCTIONS = [name for name in functions.__all__ if name != "np"]


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_is_shown_from_its_one_source(kind):
    shown = bd.show(getattr(layers, kind))
    assert shown.name == kind
    assert shown.formula.startswith(f"{kind}: ")
    assert "NumPy twin" in shown.formula
    assert shown.twin == inspect.getsource(_reference.LAYERS[kind]).strip()
    assert "_forward)" in shown.c and "_backward)" in shown.c
    source = (folder("csrc") / shown.path).read_text(encoding="utf-8")
    assert shown.c in source and f'.name = "{kind}"' in source
    assert "bd_layer_kind" not in shown.c  # the mathematics, not the descriptor


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_is_shown(kind):
    shown = bd.show(getattr(optimizer, kind))
    assert shown.formula and shown.formula in inspect.getdoc(getattr(optimizer, kind))
    assert shown.twin == inspect.getsource(_reference.OPTIMIZERS[kind]).strip()
    assert f"REAL({kind.lower()}_update)" in shown.c and "KERNEL(" in shown.c
    assert "store_at(p" in shown.c  # down to where the parameter changes


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_shown(name):
    shown = bd.show(getattr(bd, name))
    assert shown.formula and "Parameters" not in shown.formula
    assert shown.twin == inspect.getsource(getattr(_reference, name)).strip()
    assert bool(shown.c) == bool(shown.path)


def test_the_functions_of_c_are_the_ones_meant():
    assert "bd_cross_entropy)" in bd.show(bd.cross_entropy_error).c
    assert "softmax_rows)" in bd.show(bd.softmax).c
    assert bd.show(bd.sigmoid).c.splitlines()[0] == "static inline vec v_sigmoid(vec x)"
    assert "reduced_exp" in bd.show(bd.tanh).c  # the vector one, not that for long double
    assert bd.show(bd.step_function).c == ""


def test_an_instance_is_its_class():
    assert str(bd.show(bd.Relu())) == str(bd.show(bd.Relu))
    assert str(bd.show(bd.Adam(lr=0.1))) == str(bd.show(bd.Adam))

    class Mine(bd.Affine):
        pass

    class Mild(bd.SGD):
        pass

    assert bd.show(Mine).name == "Affine"
    assert bd.show(Mild).formula == bd.show(bd.SGD).formula


def test_layers_in_python_have_no_c():
    shown = bd.show(bd.MulLayer)
    assert "return dout * self.y, dout * self.x" in shown.twin
    assert shown.c == "" and "C: " not in str(shown)


def test_as_text_and_as_html():
    shown = bd.show(bd.Affine)
    text = repr(shown)
    assert text.startswith("Affine\n") and "self._rows() @ self.W + self.b" in text and "gemm_nn" in text
    html = shown._repr_html_()
    assert "io-&gt;out" in html and "io->out" not in html
    assert html.count("<pre") == 3 == html.count("</pre>")
    assert html.count("<div") == html.count("</div>")


@pytest.mark.parametrize("what", [1, "Affine", bd, bd.Net, bd.Layer, bd.load_mnist, len, None, functions.np])
def test_what_cannot_be_shown(what):
    with pytest.raises(TypeError, match="show takes a layer or an optimiser of badak"):
        bd.show(what)
