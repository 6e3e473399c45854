"""The published JSON Schemas (2020-12), one file per kind of record and major version.

`python -m agent.records.schema` writes them from the models. A released schema is a promise: the generator
refuses to change one unless the model's `schema_version` says that it is a new one.
"""

from agent.records.schema._generate import (
    SchemaChangedError,
    file_name,
    load_schema,
    render,
    schema_of,
    write_schemas,
)

__all__ = ["SchemaChangedError", "file_name", "load_schema", "render", "schema_of", "write_schemas"]
