{{- define "onnx-gateway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- /* NAME: the release, with the chart's name if that is not part of it. Short enough for NAME-admin. */ -}}
{{- define "onnx-gateway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "onnx-gateway.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 57 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 57 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "onnx-gateway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "onnx-gateway.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "onnx-gateway.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "onnx-gateway.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "onnx-gateway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "onnx-gateway.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "onnx-gateway.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "onnx-gateway.authSecret" -}}
{{- default (printf "%s-auth" (include "onnx-gateway.fullname" .)) .Values.credentials.existingSecret -}}
{{- end -}}

{{- define "onnx-gateway.tlsSecret" -}}
{{- default (printf "%s-tls" (include "onnx-gateway.fullname" .)) .Values.tls.existingSecret -}}
{{- end -}}

{{- define "onnx-gateway.stateClaim" -}}
{{- default (printf "%s-state" (include "onnx-gateway.fullname" .)) .Values.state.persistence.existingClaim -}}
{{- end -}}

{{- define "onnx-gateway.modelsClaim" -}}
{{- if eq .Values.repository.source "existingClaim" -}}
{{- required "repository.existingClaim: with repository.source existingClaim, name the claim" .Values.repository.existingClaim -}}
{{- else -}}
{{- printf "%s-models" (include "onnx-gateway.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- /* "true" if a Secret with keys or hashes is mounted. */ -}}
{{- define "onnx-gateway.hasAuthSecret" -}}
{{- if or .Values.credentials.signingSecretKey .Values.credentials.clients -}}true{{- end -}}
{{- end -}}

{{- /* "true" if only the pods of one node can have the state at a time. */ -}}
{{- define "onnx-gateway.stateIsExclusive" -}}
{{- $state := .Values.state.persistence -}}
{{- if and $state.enabled (not (has "ReadWriteMany" $state.accessModes)) -}}true{{- end -}}
{{- end -}}
