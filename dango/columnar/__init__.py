"""Plain dicts on their way through dlt in columns rather than one by one.

`frames` are pages of documents as Arrow record batches, `plan` says what tables dlt's normaliser would make of one,
`arrays` makes the columns, `normalizer` joins them to what dlt's own code does, and `hooks` puts that into dlt.
"""

from dango.columnar.hooks import Taken, switched_on

__all__ = ["Taken", "switched_on"]
