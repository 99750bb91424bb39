{{- /* Settings that follow from other values, as JSON. They are paths and addresses that the Deployment has to know. */ -}}
{{- define "onnx-gateway.ownSettings" -}}
{{- $address := .Values.listenAddress -}}
{{- $server := dict "listen" (printf "%s:8000" $address) -}}
{{- $grpc := dict "listen" (printf "%s:8001" $address) -}}
{{- $admin := dict "listen" (printf "%s:8002" $address) -}}
{{- if .Values.tls.enabled -}}
{{- $tls := dict "certificate_file" "/run/secrets/tls/tls.crt" "private_key_file" "/run/secrets/tls/tls.key" -}}
{{- if ne .Values.tls.clientCertificates "none" -}}
{{- $_ := set $tls "client_certificates" .Values.tls.clientCertificates -}}
{{- $_ := set $tls "client_ca_file" "/run/secrets/client-ca/ca.crt" -}}
{{- end -}}
{{- $_ := set $server "tls" $tls -}}
{{- if .Values.tls.admin -}}
{{- $_ := set $admin "tls" (pick $tls "certificate_file" "private_key_file") -}}
{{- end -}}
{{- end -}}
{{- $auth := dict -}}
{{- with .Values.credentials.signingSecretKey -}}
{{- $_ := set $auth "signing_secret_file" (printf "/run/secrets/auth/%s" .) -}}
{{- end -}}
{{- $clients := dict -}}
{{- range $id, $client := .Values.credentials.clients -}}
{{- $entry := dict "secret_hash_file" (printf "/run/secrets/auth/%s" $client.secretHashKey) "scopes" $client.scopes -}}
{{- with $client.plan }}{{ $_ := set $entry "plan" . }}{{ end -}}
{{- $_ := set $clients $id $entry -}}
{{- end -}}
{{- if $clients }}{{ $_ := set $auth "clients" $clients }}{{ end -}}
{{- $settings := dict "server" $server "grpc" $grpc "admin" $admin "auth" $auth -}}
{{- $_ := set $settings "models" (dict "repository" "/models" "state_directory" "/var/lib/onnx-gateway") -}}
{{- $redis := .Values.rateLimit.redis -}}
{{- if $redis.enabled -}}
{{- $limits := dict "replicas" (int (default (ternary .Values.autoscaling.maxReplicas .Values.replicaCount .Values.autoscaling.enabled) $redis.replicas)) -}}
{{- if $redis.existingSecret -}}
{{- $_ := set $limits "store_file" (printf "/run/secrets/redis/%s" $redis.secretKey) -}}
{{- else -}}
{{- $_ := set $limits "store" (required "rateLimit.redis: set url, or existingSecret" $redis.url) -}}
{{- end -}}
{{- $_ := set $settings "rate_limit" $limits -}}
{{- end -}}
{{- toJson $settings -}}
{{- end -}}

{{- /* All settings, as JSON. */ -}}
{{- define "onnx-gateway.settings" -}}
{{- range $setting, $value := dict
    "server.listen" "listenAddress" "grpc.listen" "listenAddress" "admin.listen" "listenAddress"
    "server.tls" "tls" "grpc.tls" "tls" "admin.tls" "tls" "models.repository" "repository.source"
    "models.state_directory" "state.persistence" "auth.clients" "credentials.clients" "auth.signing_secret" "credentials.existingSecret"
    "auth.signing_secret_file" "credentials.existingSecret" "rate_limit.store" "rateLimit.redis"
    "rate_limit.store_file" "rateLimit.redis" "rate_limit.replicas" "rateLimit.redis.replicas" -}}
{{- $parts := splitList "." $setting -}}
{{- if hasKey (default dict (get $.Values.settings (first $parts))) (last $parts) -}}
{{- fail (printf "settings.%s: the chart writes this setting; set the value %s instead" $setting $value) -}}
{{- end -}}
{{- end -}}
{{- $own := include "onnx-gateway.ownSettings" . | fromJson -}}
{{- toJson (mustMergeOverwrite (deepCopy .Values.settings) $own) -}}
{{- end -}}

{{- /* gateway.toml */ -}}
{{- define "onnx-gateway.gatewayToml" -}}
# Written by the chart. The gateway follows changes.
{{ include "onnx-gateway.toml" (dict "path" "" "table" (include "onnx-gateway.settings" . | fromJson)) }}
{{- end -}}

{{- /* A digest of the settings that need a restart; a change of the others is followed. */ -}}
{{- define "onnx-gateway.restartDigest" -}}
{{- $all := include "onnx-gateway.settings" . | fromJson -}}
{{- $needed := list -}}
{{- range $setting := list "server.listen" "server.threads" "grpc.enabled" "grpc.listen" "admin.listen" "models.store" "models.files" "runtime.library" "metrics.enabled" "log.format" -}}
{{- $parts := splitList "." $setting -}}
{{- $needed = append $needed (get (default dict (get $all (first $parts))) (last $parts)) -}}
{{- end -}}
{{- toJson $needed | sha256sum -}}
{{- end -}}

{{- /* Seconds that a pod gets to stop. */ -}}
{{- define "onnx-gateway.gracePeriod" -}}
{{- if .Values.terminationGracePeriodSeconds -}}
{{- int .Values.terminationGracePeriodSeconds -}}
{{- else -}}
{{- $server := default dict .Values.settings.server -}}
{{- $delay := ternary $server.shutdown_delay_ms 1000 (hasKey $server "shutdown_delay_ms") -}}
{{- $drain := ternary $server.drain_timeout_ms 20000 (hasKey $server "drain_timeout_ms") -}}
{{- add (ceil (divf (addf $delay $drain) 1000)) (int .Values.preStopSleepSeconds) 5 -}}
{{- end -}}
{{- end -}}
