"""`python -m agent.records.schema`: write the schema files beside this module."""

from __future__ import annotations

import sys
from pathlib import Path

from agent.records.schema import SchemaChangedError, write_schemas

if __name__ == "__main__":
    try:
        for path in write_schemas(Path(__file__).parent):
            print(path)
    except SchemaChangedError as error:
        sys.exit(str(error))
