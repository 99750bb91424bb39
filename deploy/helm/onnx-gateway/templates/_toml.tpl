{{- /*
TOML of a map, which `toToml` cannot write: it makes 4096.0 of the number 4096 in a file of values, and the gateway
expects whole numbers. Values that are null are left out.
*/ -}}

{{- define "onnx-gateway.toml.key" -}}
{{- if regexMatch "^[A-Za-z0-9_-]+$" . }}{{ . }}{{ else }}{{ toJson . }}{{ end -}}
{{- end -}}

{{- define "onnx-gateway.toml.value" -}}
{{- if kindIs "string" . -}}
{{- toJson . -}}
{{- else if kindIs "bool" . -}}
{{- . -}}
{{- else if kindIs "float64" . -}}
{{- if eq (floor .) . }}{{ printf "%.0f" . }}{{ else }}{{ . }}{{ end -}}
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . }}{{ $items = append $items (include "onnx-gateway.toml.value" .) }}{{ end -}}
[{{ join ", " $items }}]
{{- else if kindIs "map" . -}}
{{- $items := list -}}
{{- range $key, $value := . -}}
{{- $items = append $items (printf "%s = %s" (include "onnx-gateway.toml.key" $key) (include "onnx-gateway.toml.value" $value)) -}}
{{- end -}}
{ {{- join ", " $items -}} }
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- /* The lines of a table: first its own values, then those of the tables in it. Takes `path` (header) and `table`. */ -}}
{{- define "onnx-gateway.toml" -}}
{{- $path := .path -}}
{{- $table := .table -}}
{{- $lines := list -}}
{{- range $key, $value := $table -}}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) -}}
{{- $lines = append $lines (printf "%s = %s" (include "onnx-gateway.toml.key" $key) (include "onnx-gateway.toml.value" $value)) -}}
{{- end -}}
{{- end -}}
{{- if and $lines $path }}
[{{ $path }}]
{{ end -}}
{{- range $lines }}{{ . }}
{{ end -}}
{{- range $key, $value := $table -}}
{{- if kindIs "map" $value -}}
{{- $below := include "onnx-gateway.toml.key" $key -}}
{{- if $path }}{{ $below = printf "%s.%s" $path $below }}{{ end -}}
{{- include "onnx-gateway.toml" (dict "path" $below "table" $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
