"""A device for tests where there is no GPU.

Its tensors say that they lie on ``DEVICE``, and compute on the CPU. What a GPU
demands is demanded here: an operation takes tensors of one device, NumPy reads
none of another, and whoever asks for values, or for a shape that depends on
them, waits for the device, which ``waits`` counts.
"""
from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# A backward pass on tensors that call themselves CUDA's looks for its driver.
DEVICE = torch.device('meta')
# Operations whose result the processor has to wait for.
_WAITS = ('_local_scalar_dense', 'equal', 'is_nonzero', 'masked_select',
          'nonzero', '_unique2')


class _Elsewhere(Tensor):
    """A tensor on ``DEVICE``, as which it takes part in autograd."""

    __torch_function__ = torch._C._disabled_torch_function_impl
    is_meta = False  # it has values

    @staticmethod
    def __new__(cls, here: Tensor, waits: list[str]) -> '_Elsewhere':
        tensor = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE)
        tensor.here, tensor.waits = here, waits
        return tensor

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        first = next(
            x for x in tree_flatten((args, kwargs or {}))[0]
            if isinstance(x, cls))
        return _run(func, args, kwargs or {}, first.waits)

    def __getitem__(self, index) -> Tensor:
        if isinstance(index, list):
            index = torch.tensor(index, device=DEVICE)
        return super().__getitem__(index)

    def tolist(self) -> list:
        self.waits.append('tolist')
        return self.here.tolist()

    def numpy(self, *_, **__) -> None:
        raise TypeError('NumPy cannot read a tensor of another device.')

    __array__ = numpy


class other_device(TorchDispatchMode):
    """Context in which there is ``DEVICE``.

    Attributes:
        waits: What the processor waited for, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits = []
        self.literals = _Literals()

    def __enter__(self) -> 'other_device':
        self.literals.__enter__()
        return super().__enter__()

    def __exit__(self, *error) -> None:
        super().__exit__(*error)
        self.literals.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, self.waits)


class _Literals(TorchFunctionMode):
    """Tensors of numbers, which PyTorch makes without asking modes."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func not in (torch.tensor, torch.as_tensor, Tensor.new_tensor):
            return func(*args, **kwargs)
        like = args[0] if func is Tensor.new_tensor else None
        device = kwargs.pop('device', getattr(like, 'device', None))
        out = func(*args, **kwargs, device='cpu')
        return out if device is None else out.to(device)


def _run(func: Callable, args: tuple, kwargs: dict, waits: list[str]):
    tensors = [
        x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)
    ]
    there = [x for x in tensors if isinstance(x, _Elsewhere)]
    here = [x for x in tensors if not isinstance(x, _Elsewhere) and x.dim()]
    name = func._schema.name.split('::')[1]
    # where the result lies
    if kwargs.get('device') is not None:
        away = torch.device(kwargs['device']) == DEVICE
        kwargs = dict(kwargs, device=torch.device('cpu'))
    elif name == 'copy_':
        away = isinstance(args[0], _Elsewhere)
    else:
        away = bool(there)
    moves = name in ('_to_copy', 'copy_')
    if there and here and not moves:
        raise RuntimeError(f'{name} takes tensors of two devices, of shapes '
                           f'{[tuple(x.shape) for x in tensors]}.')
    by_mask = name == 'index' and any(x is not None and x.dtype is torch.bool
                                      for x in args[1])
    if there and (name in _WAITS or by_mask or moves and not away):
        waits.append(name)
    args, kwargs = tree_map(
        lambda x: x.here if isinstance(x, _Elsewhere) else x, (args, kwargs))
    given = {id(x.here): x for x in there}  # changed in place, and returned

    def place(x):
        if not (away and isinstance(x, Tensor)):
            return x
        return given[id(x)] if id(x) in given else _Elsewhere(x, waits)

    return tree_map(place, func(*args, **kwargs))
