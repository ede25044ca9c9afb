from .intr import INTRClassifier

__all__ = ['INTRClassifier']
