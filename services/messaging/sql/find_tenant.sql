SELECT record FROM tenant_view
