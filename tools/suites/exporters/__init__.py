"""Models as exporters write them, against the gateway: what `tools/exporter-suite` consists of."""
