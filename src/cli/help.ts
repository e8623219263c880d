export const HELP = `Usage: tfjs-peft <command> [options]

  setup              install the TensorFlow engine for the project in this folder
    --model <id>     fetch a model from the Hugging Face Hub as well
    --device <name>  cpu or cuda; by default cuda where there is an NVIDIA GPU
    --force          install again although there is an engine
  doctor             say what works and what does not, with a fix for each problem
    --json           the same for programs
  demo               the quickstart in any folder: a spam filter from 6,046 real mails, by these commands
    --mails <n>      a short run; --out <folder> where it goes, by default tfjs-peft-demo

  init [job.json]    write the file of a training, by asking; takes the flags of train
  inspect <model>    what it is, where methods can be in it, and what a step would take
    --method, --batch-size, --max-length, --json
  train [job.json]   train what a file says, or flags, which count instead of the file; run again, it goes on
    --help           every flag, with its default
    --schema         the file's JSON Schema, for editors
    --dry-run        check everything, load the rows, and say what would be trained

  eval <model>       measure an adapter or a model on rows; of a run of train, on those that it held out
    --data <rows>    others; --text, --label and the like name their columns, as for train
    --json           the measures for programs
  predict <model> --data <rows>
                     answer rows, each as a line of JSON: label, entities, answer, embedding or text
    --out <file>     in place of the output
  generate <model> --prompt <text>
                     continue a text; - for what comes in
    --chat, --system <text>
                     answer it by the model's chat template
    --max-tokens, --temp, --top-p, --top-k, --min-p, --seed
                     how it is drawn; without --temp the likeliest token
  chat <model>       a conversation, with the options of generate
  merge <adapter> --out <folder>
                     write the base with the adapter in its weights
  convert <model> --to <onnx, gguf, mlx or safetensors> --out <path>
                     write it, merged, for another program
    --to-dtype <name>, --adapter-only
                     how weights are held there; of an adapter for llama.cpp, it alone
  push <folder> <owner/name>
                     upload an adapter or a model to the Hub; --create, --private, --title, --revision, --with-report
  All of these: <model> is a folder or an id of the Hub, of an adapter or a model; --task, --dtype and --base where files do not say it

  check-adapter <folder>
                     say what a server refuses of an adapter, or ignores, with a fix for each
    --for <name>     vllm, sglang or tgi
    --json           the same for programs
  launch <program>   run a program of Node's in several processes that share its training (see joinWorkers)
    --processes <n>  on this machine; by default 2, or 1 beside --hosts
    --hosts <list>   of all machines, as in a:7000,b:7000; the others are started there by the same command
    --rank <n>       which of them this machine is, from 0
    --timeout <s>    seconds that a worker may do nothing once another has ended; by default 600

  --help, --version

Environment: TFJS_PEFT_CACHE (folder for engines), TFJS_PEFT_DEVICE (cpu or cuda), HF_HOME (folder for models)
`
