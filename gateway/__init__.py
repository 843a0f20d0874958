"""The gateway: public services, the fleet of trainers, scheduling and live events."""
