"""Machines to practise on: QEMU guests with real distribution kernels."""
