"""An object and its fields as plain frozen data: what the org's describe says, and nothing else."""

from sfframe.schema.sobject import Field, FieldType, PicklistValue, SObject

__all__ = ["Field", "FieldType", "PicklistValue", "SObject"]
