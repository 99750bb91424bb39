"""Small models as exporters write them: what `tools/make_exporter_models.py` consists of."""
