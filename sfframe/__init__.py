"""Dataframes in and out of Salesforce."""
