"""Statistics: functions of plain arrays and tables, which know no run."""
