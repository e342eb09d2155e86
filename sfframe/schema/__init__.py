"""An object and its fields as plain frozen data: what the org's describe says, and nothing else."""

from sfframe.schema.sobject import ChildRelationship, Field, FieldType, PicklistValue, RecordType, SObject

__all__ = ["ChildRelationship", "Field", "FieldType", "PicklistValue", "RecordType", "SObject"]
