from .exportable_classifier import ExportableClassifier
from .exported_classifier import ExportedClassifier, check_exported
from .onnx_export import export_onnx
from .quantization import quantize_onnx

__all__ = [
    'ExportableClassifier', 'ExportedClassifier', 'check_exported',
    'export_onnx', 'quantize_onnx'
]
