{{- define "orders.selector" -}}
app.kubernetes.io/name: {{ .Release.Name }}
app.kubernetes.io/part-of: slipway
{{- end }}
{{- define "orders.image" -}}
{{ .Values.image.repository }}{{ with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}
{{- define "orders.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
{{- define "orders.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
{{- define "orders.private" -}}
- ipBlock: {cidr: 10.0.0.0/8}
- ipBlock: {cidr: 172.16.0.0/12}
- ipBlock: {cidr: 192.168.0.0/16}
- ipBlock: {cidr: 'fc00::/7'}
- ipBlock: {cidr: 169.254.20.10/32}
{{- end }}
