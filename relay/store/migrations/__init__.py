"""The schema's history, one module per revision in `versions`; Alembic runs them inside one transaction."""
