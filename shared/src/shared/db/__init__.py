"""PostgreSQL as every service uses it: one database, one schema and one role a service, tenants kept apart by the server."""
