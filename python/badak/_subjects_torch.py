"""PyTorch modules and functions as subjects of ``gradcheck``, by their own autograd. Loaded only where torch is."""

import copy
import sys

import numpy as np

from ._own_arrays import chosen_by, input_names
from ._subjects import Subject


def is_for_torch(subject, inputs):
    """Is it a module, an autograd.Function, or a function that is given tensors?"""
    torch = sys.modules["torch"]
    if isinstance(subject, torch.nn.Module):
        return True
    if isinstance(subject, type) and issubclass(subject, torch.autograd.Function):
        return True
    return callable(subject) and any(isinstance(value, torch.Tensor) for value in inputs)


class TorchSubject(Subject):
    """A module on a double copy, or a function of tensors: numerical derivatives without autograd, analytic with it.

    The arrays that are moved and the tensors that the code is given share their memory.
    """

    backward_name = "autograd"
    calls_back_alone = False

    def __init__(self, subject, inputs, *, names, kwargs, seed, chance, wrt=None, reference=None, keep=False):
        super().__init__(seed, chance)
        self.torch = torch = sys.modules["torch"]
        self.keep, self.kwargs, self.wrt = keep, kwargs or {}, wrt
        self.title = self.forward_name = getattr(subject, "__name__", type(subject).__name__)
        self.names = input_names(names, len(inputs))
        self.tensors = {}
        self.module = None
        if isinstance(subject, torch.nn.Module):
            self.module = copy.deepcopy(subject)
            self.module = self.module if keep else self.module.double()
            self.call = self.module
            self.title = type(subject).__name__
            self.widths = 4.0
            for parameter in self.module.parameters():
                parameter.requires_grad_(True)
        elif isinstance(subject, type):
            self.call = subject.apply
            self.title = subject.__name__
        else:
            self.call = subject
            self.draws_freely = False
        self.reference = reference
        given = {}
        self.given = []
        self.aliases = {}
        for name, value in zip(self.names, inputs, strict=True):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and self.module is not None:
                value = torch.from_numpy(np.array(value))
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                if id(value) in given:
                    first = given[id(value)]
                    self.aliases.setdefault(first, []).append(name)
                    self.given.append(self.tensors[first])
                    continue
                given[id(value)] = name
                tensor = value.detach().cpu().clone().contiguous()
                tensor = tensor if keep and value.dtype in (torch.float32, torch.float64) else tensor.double()
                self.tensors[name] = tensor
                self.dtypes[name] = str(value.dtype).removeprefix("torch.")
                self.given.append(tensor)
            else:
                self.given.append(value.clone() if isinstance(value, torch.Tensor) else value)
        inner = dict(self.module.named_parameters()) if self.module is not None else {}
        outer = dict(subject.named_parameters()) if self.module is not None else {}
        for name, parameter in inner.items():
            self.tensors[name] = parameter
            self.dtypes[name] = str(outer[name].dtype).removeprefix("torch.")
        self.buffers = [(buffer, buffer.clone()) for buffer in self.module.buffers()] if self.module is not None else []
        self.arrays = {name: tensor.detach().numpy() for name, tensor in self.tensors.items()}
        self.arguments = [self.arrays.get(name) for name in self.names]
        self.variables = {}

    def numbers(self):
        held = vars(self.module) if self.module is not None else {}
        return {n: v for n, v in held.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}

    def _dtype(self, name, array):
        return self.dtypes.get(name, array.dtype)

    def _watched(self):
        return dict(self.arrays)

    def _parameters(self):
        inputs = set(self.names)
        return {name: array for name, array in self.arrays.items() if name not in inputs}

    def _given(self):
        if not self.copying:
            return list(self.given)
        return [value.clone() if isinstance(value, self.torch.Tensor) else value for value in self.given]

    def _look_for_changes(self, arrays, before, given, who):
        as_arrays = [v.detach().numpy() if isinstance(v, self.torch.Tensor) else v for v in given]
        super()._look_for_changes(arrays, before, as_arrays, who)

    def _restore_buffers(self):
        for buffer, before in self.buffers:
            buffer.copy_(before)

    def _run(self, given):
        with self.torch.no_grad():
            self._restore_buffers()
            return self._result(self.call(*given, **self.kwargs))

    def _result(self, found):
        """A tensor as an array, several as a tuple of them."""
        if isinstance(found, (tuple, list)):
            parts = [part for part in found if isinstance(part, self.torch.Tensor) and part.is_floating_point()]
            return tuple(self._result(part) for part in parts)
        if not isinstance(found, self.torch.Tensor):
            return found
        found = found.detach().cpu()
        return found.float().numpy() if found.dtype in (self.torch.bfloat16, self.torch.float16) else found.numpy()

    def _numeric_output(self):
        if self.reference is None:
            return self.output()
        with self.torch.no_grad():
            return self._as_output(self._result(self.reference(*self._given())))

    def _back(self, gy, given):
        torch = self.torch
        with torch.enable_grad(), torch.no_grad():
            self._restore_buffers()
        with torch.enable_grad():
            leaves = {}
            passed = []
            for value in given:
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    if id(value) not in leaves:
                        leaf = value.detach().clone().requires_grad_(True)
                        leaves[id(value)] = leaf, leaf.clone()  # the clone may be changed in place
                    passed.append(leaves[id(value)][1])
                else:
                    passed.append(value)
            wanted = {}
            for name, tensor in self.tensors.items():
                at = self.names.index(name) if name in self.names else None
                wanted[name] = tensor if at is None else leaves[id(given[at])][0]
            self.chance.replay()
            found = self.call(*passed, **self.kwargs)
            outputs = found if isinstance(found, (tuple, list)) else (found,)
            outputs = [part for part in outputs if isinstance(part, torch.Tensor) and part.is_floating_point()]
            if not outputs:
                raise TypeError(f"{self.title} must return a tensor of floats, got {type(found).__name__}")
            upstream = gy if isinstance(gy, tuple) else (gy,)
            upstream = [
                torch.as_tensor(np.array(part)).to(output.dtype).reshape(output.shape)
                for part, output in zip(upstream, outputs, strict=True)
            ]
            pairs = [(output, part) for output, part in zip(outputs, upstream, strict=True) if output.requires_grad]
            if not pairs:
                return {name: np.zeros(tensor.shape) for name, tensor in wanted.items()}
            before = [part.clone() for _, part in pairs]
            gradients = torch.autograd.grad(
                [output for output, _ in pairs], list(wanted.values()), [part for _, part in pairs], allow_unused=True
            )
            for (_, part), then in zip(pairs, before, strict=True):
                if not torch.equal(part, then) and isinstance(gy, np.ndarray) and gy.shape == tuple(part.shape):
                    gy[...] = part.numpy()
        return {
            name: np.zeros(tensor.shape) if g is None else np.array(self._result(g))
            for (name, tensor), g in zip(wanted.items(), gradients, strict=True)
        }

    def set_variables(self, first):
        wanted = chosen_by(self.wrt, list(self.arrays))
        self.variables = {name: array for name, array in self.arrays.items() if name in wanted}
