from .exportable_classifier import ExportableClassifier
from .exported_classifier import ExportedClassifier, is_exported
from .onnx_export import export_onnx
from .quantization import quantize_onnx

__all__ = [
    'ExportableClassifier', 'ExportedClassifier', 'export_onnx', 'is_exported',
    'quantize_onnx'
]
