"""What the trained models' images show: the paper's tables on models that stand in for its own, at 8×8 and 32×32."""
