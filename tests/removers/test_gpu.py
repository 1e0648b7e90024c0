"""Finding GPUs without torch; the driver is a stand-in, as the machine that runs the tests may have none."""

import ctypes
from collections.abc import Callable, Iterator

import cv2
import pytest
import torch

from lib.errors import InputError
from lib.removers import gpu
from lib.runtime import slots

WithDriver = Callable[..., None]


class Driver:
    """Answers as libcuda does."""

    def __init__(self, count: int, version: int, error: int) -> None:
        self.count, self.version, self.error = count, version, error

    def cuInit(self, _flags: int) -> int:  # noqa: N802
        return self.error

    def cuDeviceGetCount(self, pointer: object) -> int:  # noqa: N802
        return self._answer(pointer, self.count)

    def cuDriverGetVersion(self, pointer: object) -> int:  # noqa: N802
        return self._answer(pointer, self.version)

    def _answer(self, pointer: object, value: int) -> int:
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = value
        return self.error


@pytest.fixture
def with_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[WithDriver]:
    def install(count: int, version: int = 13000, error: int = 0, torch_cuda: str | None = "13.0") -> None:
        gpu.gpu_count.cache_clear()
        monkeypatch.setattr(gpu, "_load_driver", lambda: Driver(count, version, error))
        monkeypatch.setattr(gpu, "torch_cuda_version", lambda: torch_cuda)

    yield install
    gpu.gpu_count.cache_clear()


def test_the_driver_counts(with_driver):
    with_driver(3)
    assert gpu.gpu_count() == 3
    gpu.check_gpu()


def test_no_device_and_a_torch_without_cuda_mean_the_cpu(with_driver):
    with_driver(3, error=100)
    assert gpu.gpu_count() == 0
    with_driver(3, torch_cuda=None)
    assert gpu.gpu_count() == 0
    assert gpu.torch_device() == torch.device("cpu")
    gpu.check_gpu()


def test_on_the_cpu_torch_takes_no_more_than_the_processs_share_of_the_cores(with_driver):
    with_driver(0)
    torch_threads, share = torch.get_num_threads(), cv2.getNumThreads()
    try:
        torch.set_num_threads(3)
        cv2.setNumThreads(2)
        gpu.torch_device()
        assert torch.get_num_threads() == 2
        cv2.setNumThreads(4)
        gpu.torch_device()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(share)


def test_a_driver_that_is_too_old_is_an_error_before_any_work(with_driver):
    with_driver(1, version=12040, torch_cuda="12.8")
    gpu.check_gpu()
    with_driver(1, version=12040)
    with pytest.raises(InputError, match=r"CUDA up to 12\.4 .* built for CUDA 13\.0.*CUDA_VISIBLE_DEVICES"):
        gpu.check_gpu()


def test_a_gpu_that_torch_cannot_use_is_never_replaced_by_the_cpu_in_silence(with_driver, monkeypatch):
    with_driver(1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="cannot use the GPU"):
        gpu.torch_device()


@pytest.mark.parametrize(("given", "index"), [(None, 0), (0, 0), (1, 1)])
def test_a_process_works_on_the_gpu_that_it_was_given(with_driver, monkeypatch, given, index):
    with_driver(2)
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(slots, "_gpu", given)
    assert gpu.torch_device() == torch.device("cuda", index)
    assert chosen == [torch.device("cuda", index)]


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be…"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`"), True),
        (RuntimeError("CUDA driver error: unspecified launch failure"), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), False),
        (RuntimeError("CUDA error: out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), False),
        (ValueError("CUDA error: in a file's name"), False),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
    ],
)
def test_an_error_after_which_a_process_can_use_its_gpu_no_more(monkeypatch, error, lost):
    monkeypatch.setattr(slots, "_gpu", 3)
    loss = gpu.gpu_loss(error)
    assert (loss is not None) == lost
    if loss:
        assert str(loss) == f"GPU 3 was lost ({str(error).splitlines()[0]})"


def test_the_version_file_says_what_torch_says():
    assert gpu.torch_cuda_version() == torch.version.cuda
