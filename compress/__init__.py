"""Pictures brought inside their legal cap, or refused with a reason. No file, socket or clock is touched here."""
