"""Rules, dashboards and provisioning as code: one source, from which every file of observability/ is made."""
