"""Output of runs for people: reports, plots, terminal tables and experiment trackers.

* `html`: the HTML report of a run, and the parts of other reports
* `plots`: the plots of a run
* `drawing`: parts that all plots share
* `frames`: tables in Parquet files
* `terminal`: progress bars and tables of metrics
* `tracking`: metrics for TensorBoard and MLflow
* `file_names`: file names from names that users choose
"""
