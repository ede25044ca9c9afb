import intr_mm  # noqa: F401, registers the parts that tests build by name
