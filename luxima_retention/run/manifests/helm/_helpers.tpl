{{- /* The image by what it holds where a digest is given, else by its tag. */ -}}
{{- define "luxima-retention.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{- /* A ConfigMap by what it holds: Jobs that are under way keep the settings that they began with. */ -}}
{{- define "luxima-retention.settings" -}}
luxima-retention-{{ .Files.Get "files/luxima-retention.toml" | sha256sum | trunc 10 }}
{{- end -}}

{{- /* Puts what the values say into the template of a pod. Takes root, template, and the ConfigMap's name. */ -}}
{{- define "luxima-retention.pod" -}}
{{- $values := .root.Values -}}
{{- $metadata := .template.metadata -}}
{{- $spec := .template.spec -}}
{{- if $values.nativeSidecars -}}
{{- $_ := unset $metadata.labels "sidecar.istio.io/inject" -}}
{{- $_ := unset $metadata.annotations "linkerd.io/inject" -}}
{{- end -}}
{{- range $spec.containers -}}
{{- $_ := set . "image" (include "luxima-retention.image" $.root) -}}
{{- $_ := set . "imagePullPolicy" $values.image.pullPolicy -}}
{{- $_ := set . "resources" $values.resources -}}
{{- end -}}
{{- $settings := .settings -}}
{{- range $spec.volumes -}}
{{- if .configMap -}}{{- $_ := set .configMap "name" $settings -}}{{- end -}}
{{- end -}}
{{- range $key, $value := $values.podSpec -}}{{- $_ := set $spec $key $value -}}{{- end -}}
{{- end -}}

{{- /* Puts volumes into the only container of a pod. Takes spec, name, claim, path, readOnly. */ -}}
{{- define "luxima-retention.claim" -}}
{{- $mount := dict "name" .name "mountPath" .path -}}
{{- if .readOnly -}}{{- $_ := set $mount "readOnly" true -}}{{- end -}}
{{- $source := dict "claimName" .claim -}}
{{- $run := first .spec.containers -}}
{{- $_ := set $run "volumeMounts" (append $run.volumeMounts $mount) -}}
{{- $_ := set .spec "volumes" (append .spec.volumes (dict "name" .name "persistentVolumeClaim" $source)) -}}
{{- end -}}
