"""Charts of runs, reports and diagnoses, and sheets of faces: matplotlib, loaded when something is drawn."""
