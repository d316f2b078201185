"""The ways out of the house for a notification, one file each, behind the Protocol of `channel`."""
