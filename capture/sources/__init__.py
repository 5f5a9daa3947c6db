"""One file per way in. A source holds the bytes of a delivery within bounds and hands it to the receiver."""
