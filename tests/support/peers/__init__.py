"""SMSCs that others wrote, run as processes of their own: what passes against them passes against no view of ours."""
